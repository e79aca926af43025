"""How a page looks: on paper, in light and in dark, from phone to desk."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fdfdfc; --ink: #1f2328; --quiet: #5d6670; --rule: #dcdfe3;
  --link: #0060a0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --ink: #e4e7ea; --quiet: #9aa3ad; --rule: #31373e;
    --link: #74b9ee;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1.5rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 58rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: break-word;
}
h1 { margin: 0; font-size: 2rem; line-height: 1.2; letter-spacing: -.015em; }
h2 {
  margin: 3.5rem 0 .75rem; padding-top: 1.25rem; font-size: 1.375rem;
  line-height: 1.3; border-top: 1px solid var(--rule);
}
p { margin: .75rem 0; max-width: 42rem; }
a { color: var(--link); text-underline-offset: .15em; }
nav ol {
  display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 0;
  padding: 0; list-style: none; font-size: .9375rem;
}
nav a { display: inline-block; padding: .25rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
figure { margin: 1.5rem 0; }
figcaption {
  max-width: 42rem; color: var(--quiet); font-size: .875rem; line-height: 1.5;
}
.scroll { overflow-x: auto; }
img {
  display: block; max-width: 100%; height: auto; border-radius: .375rem;
  background: white;
}
img + *, .scroll + figcaption { margin-top: .5rem; }
.beside {
  display: grid; gap: 0 1.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
}
.table figcaption { margin-bottom: .5rem; }
table {
  border-collapse: collapse; font-size: .9375rem; line-height: 1.4;
  font-variant-numeric: tabular-nums;
}
th, td {
  padding: .4rem .75rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule);
}
thead th {
  color: var(--quiet); font-size: .8125rem; font-weight: 600;
  vertical-align: bottom;
}
th[scope=row] {
  position: sticky; left: 0; min-width: 6rem; background: var(--paper);
  font-weight: 500;
}
th:first-child { padding-left: 0; }
.number { text-align: right; white-space: nowrap; }
.facts {
  display: flex; flex-wrap: wrap; gap: 1px; margin: 1.5rem 0; overflow: hidden;
  border: 1px solid var(--rule); border-radius: .5rem; background: var(--rule);
}
.facts div {
  display: flex; flex: 1 1 8.5rem; flex-direction: column-reverse;
  justify-content: flex-end; padding: .75rem 1rem; background: var(--paper);
}
dt { color: var(--quiet); font-size: .8125rem; line-height: 1.35; }
dd {
  margin: 0; font-size: 1.5rem; line-height: 1.3; font-weight: 600;
  font-variant-numeric: tabular-nums;
}
@media (min-width: 74rem) {
  body {
    display: grid; max-width: 74rem; gap: 0 3rem;
    grid-template-columns: 12rem minmax(0, 1fr);
  }
  header { grid-column: 2; }
  nav { grid-row: 1 / span 2; }
  nav ol { position: sticky; top: 2.5rem; flex-direction: column; margin: 0; }
  main { grid-column: 2; }
}
@media (max-width: 30rem) {
  body { padding-top: 1.5rem; }
  h1 { font-size: 1.625rem; }
  th, td { padding: .4rem .5rem; }
}
@media (prefers-color-scheme: dark) { img { filter: brightness(.93); } }
@media print {
  nav { display: none; }
  body { display: block; max-width: none; }
  .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
