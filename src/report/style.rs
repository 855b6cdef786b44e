//! The page's style sheet.

/// Inline CSS of the report.
pub(super) const CSS: &str = r#"
:root{--ink:#1c2430;--soft:#5a6575;--line:#dde2e9;--paper:#fff;--wash:#f4f6f9;--good:#146c43;--good-wash:#e3f4ea;
--bad:#a51d2d;--bad-wash:#fbe6e8;--warn:#8a5a00;--warn-wash:#fdf2dc;--accent:#27527a}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b6;--line:#303a48;--paper:#161c25;--wash:#0e131a;
--good:#7fd8a6;--good-wash:#123423;--bad:#ff9aa5;--bad-wash:#451a20;--warn:#f0c674;--warn-wash:#3d2f12;--accent:#8fbce6}}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);font:16px/1.55 system-ui,"Segoe UI","Noto Sans",sans-serif}
main{max-width:1040px;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.15rem;margin:2.5rem 0 .75rem}
p{margin:.4rem 0}
.soft{color:var(--soft)}
.verdict{border-radius:12px;padding:1.25rem 1.5rem;margin:1.25rem 0;border:1px solid var(--line)}
.verdict.good{background:var(--good-wash);border-color:var(--good)}
.verdict.bad{background:var(--bad-wash);border-color:var(--bad)}
.verdict strong{display:block;font-size:1.35rem;line-height:1.3}
.good strong{color:var(--good)}.bad strong{color:var(--bad)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:1rem 1.25rem;margin:.75rem 0}
.card h3{margin:0;font-size:1.05rem;display:flex;gap:.6rem;align-items:baseline;flex-wrap:wrap}
.tag{font-size:.8rem;font-weight:600;padding:.1rem .55rem;border-radius:99px;background:var(--wash);color:var(--soft)}
.tag.good{background:var(--good-wash);color:var(--good)}
.tag.bad{background:var(--bad-wash);color:var(--bad)}
.tag.warn{background:var(--warn-wash);color:var(--warn)}
ul.list{list-style:none;margin:0;padding:0}
ul.list li{background:var(--paper);border:1px solid var(--line);border-left:5px solid var(--line);border-radius:8px;
padding:.55rem .9rem;margin:.4rem 0}
ul.list li.bad{border-left-color:var(--bad)}ul.list li.warn{border-left-color:var(--warn)}
code{font:.85em ui-monospace,"DejaVu Sans Mono",monospace;color:var(--soft);overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.75rem 1.25rem;margin:.9rem 0 .25rem}
dl.facts div{min-width:0}
dt{font-size:.8rem;color:var(--soft)}
dd{margin:0;font-size:1.1rem;font-variant-numeric:tabular-nums}
dd small{display:block;font-size:.75rem;line-height:1.3;color:var(--soft)}
.sheet{display:flex;flex-wrap:wrap;gap:.8rem;margin-top:.9rem}
figure{margin:0;width:192px}
figure img{display:block;max-width:192px;max-height:192px;min-width:96px;border-radius:6px;background:var(--wash)}
figcaption{font-size:.8rem;color:var(--soft);margin-top:.25rem}
details summary{cursor:pointer;color:var(--accent);font-size:.85rem;padding:.25rem 0}
summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:4px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;background:var(--paper);font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.4rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.82rem}
tr.bad td{background:var(--bad-wash)}
@media print{body{background:#fff}details{display:none}.card{break-inside:avoid}}
"#;
