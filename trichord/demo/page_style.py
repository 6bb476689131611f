"""The look of the demo's page: one style sheet and one short script, both put inside the page."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #faf9f6; --ink: #1d1c1a; --soft: #6f6b64; --line: #dedad2; --tile: #fff;
  --mark: #a8431f; --good: #3d6b47; --wave: #c9c3b8;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", "URW Palladio L",
    "P052", Georgia, "Noto Serif", serif;
  --sans: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Helvetica Neue", "DejaVu Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #161513; --ink: #ece8e1; --soft: #9c958a; --line: #34312c; --tile: #201e1b;
    --mark: #e58a5f; --good: #8fc09a; --wave: #57514a; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 var(--sans); }
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 64px; }
h1 { font: 400 clamp(2.5rem, 7vw, 4.2rem)/1.02 var(--serif); letter-spacing: -.02em; margin: 0; }
.lead { font: 400 1.22rem/1.5 var(--serif); max-width: 40em; margin: 18px 0 0; }
h2 { font: 400 clamp(1.7rem, 4vw, 2.3rem)/1.15 var(--serif); letter-spacing: -.01em; margin: 0; }
h3 { font: 400 1.35rem/1.25 var(--serif); margin: 0; }
h3 .to { color: var(--mark); padding: 0 .15em; }
section { margin-top: 84px; }
section > p { max-width: 42em; color: var(--soft); margin: 10px 0 0; }
.facts { display: flex; flex-wrap: wrap; gap: 14px 40px; margin: 34px 0 0; padding: 0; }
.facts div { display: flex; flex-direction: column-reverse; }
.facts dd { margin: 0; font: 400 1.9rem/1.1 var(--serif); font-variant-numeric: lining-nums; }
.facts dt { color: var(--soft); font-size: .84rem; }
table { border-collapse: collapse; margin-top: 26px; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
caption { text-align: left; color: var(--soft); font-size: .84rem; padding-bottom: 8px; }
th, td { text-align: left; padding: 9px 30px 9px 0; border-bottom: 1px solid var(--line);
  font-weight: 400; vertical-align: baseline; }
thead th { color: var(--soft); font-size: .84rem; }
tbody th { font-family: var(--serif); font-size: 1.08rem; }
td a { color: inherit; white-space: nowrap; text-decoration: none;
  border-bottom: 1px solid var(--line); }
td a:hover { border-color: var(--mark); }
td small { color: var(--soft); white-space: nowrap; }
td .short { color: var(--mark); }
.direction { margin-top: 54px; padding-top: 16px; border-top: 1px solid var(--ink);
  scroll-margin-top: 8px; }
.direction > .tally { color: var(--soft); font-size: .88rem; margin: 2px 0 0; }
.ask { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 4fr); gap: 30px;
  padding: 24px 0; border-bottom: 1px solid var(--line); }
.ask:last-child { border-bottom: 0; }
.hits { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 20px; margin: 0;
  padding: 0; list-style: none; }
.label { color: var(--soft); font-size: .78rem; line-height: 1.3; margin: 0 0 8px;
  overflow-wrap: anywhere; }
.pair .label { min-height: 2.6em; display: flex; align-items: end; }
.question { display: flex; flex-direction: column; gap: 14px; min-width: 0; }
.question > div { min-width: 0; }
.question.pair { flex-direction: row; gap: 12px; }
.question.pair > div { flex: 1 1 0; }
figure { margin: 0; }
.tile { aspect-ratio: 1; width: 100%; border: 1px solid var(--line); border-radius: 3px;
  background: var(--tile); overflow: hidden; position: relative; }
.tile img { width: 100%; height: 100%; object-fit: cover; display: block; }
.tile.words { display: flex; align-items: center; padding: 14px; }
.tile.words p { margin: 0; font: 400 .95rem/1.38 var(--serif); overflow-wrap: anywhere; }
.tile.words.long p { font-size: .8rem; line-height: 1.36; }
.question .tile { border-color: var(--ink); }
.question .tile.words { aspect-ratio: auto; border: 0; border-radius: 0;
  border-left: 2px solid var(--mark); padding: 2px 0 4px 16px; background: none; }
.question .tile.words p { font-size: 1.2rem; line-height: 1.32; }
.tile.sound { display: flex; flex-direction: column; justify-content: center; padding: 0 10px; }
.tile.sound audio { width: 100%; height: 34px; }
.tile.sound button { all: unset; cursor: pointer; position: absolute; inset: 0; }
.tile.sound button:focus-visible { outline: 2px solid var(--mark); outline-offset: -3px; }
.tile.sound svg { width: 100%; height: 46%; display: block; overflow: visible; }
.tile.sound path { stroke: var(--wave); stroke-width: 1.5; stroke-linecap: round; }
.tile.sound .done { stroke: var(--mark); }
.tile.sound .sign { position: absolute; left: 10px; bottom: 9px; width: 0; height: 0;
  border-left: 9px solid var(--ink); border-top: 6px solid transparent;
  border-bottom: 6px solid transparent; }
.tile.sound.playing .sign { width: 9px; height: 11px; border: 0; border-left: 3px solid var(--mark);
  border-right: 3px solid var(--mark); bottom: 9px; }
.tile.sound .long { position: absolute; right: 10px; bottom: 5px; font-size: .74rem;
  color: var(--soft); font-variant-numeric: tabular-nums; }
figcaption { padding-top: 8px; font-size: .84rem; line-height: 1.35; overflow-wrap: anywhere; }
figcaption .title { display: block; font: 400 1rem/1.3 var(--serif); }
figcaption .more { color: var(--soft); font-variant-numeric: tabular-nums; display: block; }
figcaption .span { color: var(--mark); }
.right .title::after { content: "\\00a0\\2713"; color: var(--good); font-family: var(--sans);
  font-size: .82rem; }
.where { display: inline-block; font: .8rem/1.4 ui-monospace, "SF Mono", Menlo, Consolas,
  "DejaVu Sans Mono", monospace; color: var(--mark); overflow-wrap: anywhere; margin: 10px 0 0; }
.none { color: var(--soft); margin: 0; }
footer { color: var(--soft); font-size: .86rem; padding-top: 70px; padding-bottom: 60px; }
footer p { max-width: 46em; margin: 6px 0 0; }
@media (max-width: 760px) {
  main, header, footer { padding-left: 18px; padding-right: 18px; }
  header { padding-top: 38px; }
  section { margin-top: 60px; }
  .ask { grid-template-columns: minmax(0, 1fr); gap: 20px; }
  .hits { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 18px 14px; }
  .question { flex-direction: row; }
  .question > div { flex: 0 1 46%; }
  .question > div.said { flex: 1 1 100%; }
  .pair .label { min-height: 1.3em; }
  th, td { padding-right: 12px; font-size: .9rem; }
  td small { display: block; }
}
"""

SCRIPT = """
document.querySelectorAll(".tile.sound").forEach(function (tile) {
  var audio = tile.querySelector("audio"), done = tile.querySelector(".done"), frame = 0;
  var button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", audio.getAttribute("aria-label"));
  audio.controls = false;
  audio.hidden = true;
  tile.appendChild(button);
  function draw() {
    var part = audio.duration ? audio.currentTime / audio.duration : 0;
    done.style.clipPath = "inset(-10% " + (100 - 100 * part) + "% -10% 0)";
    if (!audio.paused) frame = requestAnimationFrame(draw);
  }
  button.addEventListener("click", function () {
    if (audio.paused) audio.play(); else audio.pause();
  });
  audio.addEventListener("play", function () {
    document.querySelectorAll("audio").forEach(function (other) {
      if (other !== audio) other.pause();
    });
    tile.classList.add("playing");
    draw();
  });
  audio.addEventListener("pause", function () { tile.classList.remove("playing"); });
  audio.addEventListener("ended", function () {
    cancelAnimationFrame(frame);
    tile.classList.remove("playing");
    audio.currentTime = 0;
    done.style.clipPath = "inset(0 100% 0 0)";
  });
  done.style.clipPath = "inset(0 100% 0 0)";
});
"""
