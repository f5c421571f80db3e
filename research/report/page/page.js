// Draws the charts of the page from the JSON in it, and listens to its buttons and keys.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  let data = JSON.parse(byId("data").textContent);
  const hidden = new Set(data.settings.flatMap((one, place) => (one.on ? [] : [place])));
  const choices = {}; // chart -> {variant, along, log, off}; kept while a live page is renewed
  const seen = new Set(); // charts that are drawn
  const NARROW = 640; // pixels

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // ---- charts

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const named = (name) => style.getPropertyValue(name).trim();
    return { text: named("--text"), soft: named("--soft"), grid: named("--grid"), line: named("--line"),
             panel: named("--panel") };
  }

  function currentVariant(name) {
    const chart = data.charts[name];
    const choice = (choices[name] ??= { variant: chart.variants[0].name, along: null, log: false,
                                        off: new Set() });
    return chart.variants.find((variant) => variant.name === choice.variant) ?? chart.variants[0];
  }

  function tracesOf(name) {
    const { along, off } = choices[name];
    return currentVariant(name).traces.map(({ drawn, setting, along: axes }) => {
      const names = Object.keys(axes);
      const x = names.length ? { x: axes[names.includes(along) ? along : names[0]] } : {};
      const visible = setting === null ? !off.has(drawn.name) : !hidden.has(setting);
      return { ...drawn, ...x, visible };
    });
  }

  function layoutOf(name, plot) {
    const { text, soft, grid, line, panel } = colours();
    const variant = currentVariant(name);
    const { along, log } = choices[name];
    const narrow = plot.clientWidth < NARROW;
    const axis = { gridcolor: grid, linecolor: line, zerolinecolor: line, automargin: true };
    const names = axesOf(variant);
    const title = names.length
      ? { title: { text: escaped(names.includes(along) ? along : names[0]) } } : {};
    return {
      hovermode: "x unified", dragmode: narrow ? false : "zoom", ...variant.layout, showlegend: false,
      xaxis: { ...axis, ...title, ...variant.layout.xaxis },
      yaxis: { ...axis, ...variant.layout.yaxis, ...(log && variant.log ? { type: "log" } : {}) },
      font: { color: text, family: getComputedStyle(document.body).fontFamily, size: narrow ? 11 : 13 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: panel, bordercolor: line, font: { color: text }, namelength: 40 },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: text },
      margin: { l: narrow ? 44 : 60, r: 12, t: 30, b: 44 },
    };
  }

  const escaped = (text) =>
    text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  const axesOf = (variant) => [...new Set(variant.traces.flatMap((one) => Object.keys(one.along)))];

  function draw(name) {
    const plot = figureOf(name).querySelector(".plot");
    const options = { responsive: true, displaylogo: false, plotlyServerURL: "",
                      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };
    seen.add(name);
    return Plotly.react(plot, tracesOf(name), layoutOf(name, plot), options);
  }

  // Charts are drawn when they come near the window, so that a long page opens at once.
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target.dataset.chart);
    }
  }, { rootMargin: "600px" });

  const figureOf = (name) => document.querySelector(`[data-chart="${CSS.escape(name)}"]`);
  const drawSeen = () => Promise.all([...seen].map(draw));

  // ---- what is chosen

  function select(label, names, chosen, onChange) {
    const box = element("select");
    for (const name of names) box.append(element("option", { value: name }, name));
    box.value = chosen;
    box.addEventListener("change", () => onChange(box.value));
    return element("label", {}, label, box);
  }

  function controls(name) {
    const chart = data.charts[name];
    const variant = currentVariant(name);
    const choice = choices[name];
    const again = () => { controls(name); legend(name); draw(name); };
    const made = [];
    if (chart.variants.length > 1) {
      const names = chart.variants.map((one) => one.name);
      made.push(select("show", names, variant.name, (value) => { choice.variant = value; again(); }));
    }
    const axes = axesOf(variant);
    if (axes.length > 1) {
      const chosen = axes.includes(choice.along) ? choice.along : axes[0];
      made.push(select("against", axes, chosen, (value) => { choice.along = value; again(); }));
    }
    if (variant.log) {
      const box = element("input", { type: "checkbox" });
      box.checked = choice.log;
      box.addEventListener("change", () => { choice.log = box.checked; draw(name); });
      made.push(element("label", {}, box, "logarithmic"));
    }
    const place = figureOf(name).querySelector(".controls");
    const focused = [...place.querySelectorAll("select, input")].indexOf(document.activeElement);
    place.replaceChildren(...made);
    place.querySelectorAll("select, input")[focused]?.focus();
  }

  function svg(tag, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  // How a setting looks, in the table and in legends: the line of its curve, the mark of its dots.
  function swatch({ colour, dash, mark }) {
    const made = svg("svg", { width: 30, height: 12, "aria-hidden": "true" });
    const dashes = { dash: "8 4", dot: "3 3", dashdot: "8 3 2 3" }[dash] ?? "none";
    made.append(svg("line", { x1: 0, x2: 30, y1: 6, y2: 6, stroke: colour, "stroke-width": 2.5,
                              "stroke-dasharray": dashes }));
    const outline = { circle: "M11 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", square: "M11 2h8v8h-8z",
                      diamond: "M15 1l5 5l-5 5l-5-5z" }[mark];
    if (outline) made.append(svg("path", { d: outline, fill: colour }));
    return made;
  }

  function button(label, look, on, attributes, onPress) {
    const made = element("button", { type: "button", "aria-pressed": on, ...attributes });
    made.append(...(look ? [swatch(look)] : []), label);
    made.addEventListener("click", () => onPress(made));
    return made;
  }

  function legend(name) {
    const place = figureOf(name).querySelector(".legend");
    if (!place) return;
    const ofSettings = data.charts[name].legend;
    if (ofSettings && data.settings.length < 2) return;
    place.setAttribute("role", "group");
    place.setAttribute("aria-label", ofSettings
      ? "Settings: press to show or hide, in every chart" : "Press to show or hide");
    place.replaceChildren(...(ofSettings ? settingButtons() : traceButtons(name)));
    tellHidden();
  }

  function settingButtons() {
    const buttons = data.settings.map((setting, at) => {
      const made = button(setting.label, setting, !hidden.has(at), { "data-setting": at },
                          () => toggle([at], !hidden.has(at)));
      made.addEventListener("dblclick", () => only(at));
      return made;
    });
    const every = data.settings.map((_, at) => at);
    const some = (label, hide) => {
      const made = element("button", { type: "button" }, label);
      made.addEventListener("click", () => toggle(every, hide));
      return made;
    };
    return [...buttons, some("show all", false), some("hide all", true),
            element("span", { class: "shown" })];
  }

  function traceButtons(name) {
    const { off } = choices[name];
    const named = currentVariant(name).traces.map(({ drawn }) => drawn)
      .filter((drawn) => drawn.name && drawn.showlegend !== false);
    return named.map((drawn) => {
      const look = { colour: drawn.fillcolor ?? drawn.line?.color ?? drawn.marker?.color,
                     dash: drawn.line?.dash ?? "solid" };
      const text = new DOMParser().parseFromString(drawn.name, "text/html").body.textContent;
      return button(text, look, !off.has(drawn.name), {}, (pressed) => {
        off.has(drawn.name) ? off.delete(drawn.name) : off.add(drawn.name);
        pressed.setAttribute("aria-pressed", !off.has(drawn.name));
        draw(name);
      });
    });
  }

  function toggle(settings, hide) {
    for (const at of settings) hide ? hidden.add(at) : hidden.delete(at);
    show();
  }

  function only(setting) {
    data.settings.forEach((_, at) => (at === setting ? hidden.delete(at) : hidden.add(at)));
    show();
  }

  function show() {
    for (const button of document.querySelectorAll("[data-setting]")) {
      button.setAttribute("aria-pressed", !hidden.has(Number(button.dataset.setting)));
    }
    tellHidden();
    for (const name of seen) if (data.charts[name].legend) draw(name);
  }

  function tellHidden() {
    const shown = data.settings.filter((_, at) => !hidden.has(at)).length;
    for (const place of document.querySelectorAll(".shown")) {
      place.textContent = `${shown} of ${data.settings.length} shown; press one to show or hide it`;
    }
  }

  // ---- keys: left and right go along a curve, up and down to the next one

  function keys(name) {
    const plot = figureOf(name).querySelector(".plot");
    let curve = 0, point = -1;
    plot.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      const able = plot._fullData.filter((one) => one.visible === true && one.hoverinfo !== "skip");
      if (!able.length) return;
      curve = (curve + step[0] + able.length) % able.length;
      const points = pointsOf(plot, able[curve].index);
      point = Math.min(Math.max(point + step[1], 0), points.length - 1);
      say(plot, able[curve], points[point]);
    });
  }

  const pointsOf = (plot, index) => {
    const { calcdata } = plot;
    const one = calcdata[index];
    if (plot._fullData[index].type !== "heatmap") return one.map((_, at) => at);
    const { z } = one[0];
    return z.flatMap((row, y) => [...row].map((_, x) => [y, x]));
  };

  function say(plot, trace, pointNumber) {
    const at = { curveNumber: trace.index, pointNumber };
    Plotly.Fx.hover(plot, [at]);
    setTimeout(() => { // plotly puts off what comes fast
      const label = [...plot.querySelectorAll(".hoverlayer text")].map((one) => one.textContent);
      byId("said").textContent = label.join(" ");
    }, 100);
  }

  // ---- colours: as the system has them, until the button is pressed

  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : system.matches;
  };

  function nameTheme() {
    byId("theme").textContent = `Use ${isDark() ? "light" : "dark"} colours`;
  }

  function switchTheme() {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
    return drawSeen();
  }

  // ---- all of it, and again when a live page has news

  function build() {
    for (const place of document.querySelectorAll("[data-look]")) {
      place.replaceChildren(swatch(data.settings[place.dataset.look]));
    }
    for (const name of Object.keys(data.charts)) {
      currentVariant(name);
      controls(name);
      legend(name);
      keys(name);
    }
    const [first, ...others] = Object.keys(data.charts);
    const later = others.filter((name) => !seen.has(name));
    for (const name of later) near.observe(figureOf(name));
    for (const name of seen) if (!(name in data.charts)) seen.delete(name);
    return Promise.all([first, ...seen].filter(Boolean).map(draw));
  }

  async function renew(version) {
    const said = byId("live");
    try {
      const answer = await fetch(`content.json?have=${encodeURIComponent(version)}`);
      if (answer.status === 200) {
        const news = await answer.json();
        const known = data.settings.length;
        const open = [...document.querySelectorAll("details")].map((one) => one.open);
        for (const plot of document.querySelectorAll(".plot")) Plotly.purge(plot);
        data = JSON.parse(news.data);
        data.settings.forEach((one, at) => { if (at >= known && !one.on) hidden.add(at); });
        byId("main").innerHTML = news.html;
        document.querySelectorAll("details").forEach((one, at) => (one.open = open[at] ?? one.open));
        await build();
        version = news.version;
      }
      const told = answer.ok ? "live" : "the run folder cannot be read at the moment";
      said.textContent = `${told}, as of ${new Date().toLocaleTimeString()}`;
    } catch {
      said.textContent = "the server has gone; this is the last state it told";
    }
    setTimeout(renew, 3000, version);
  }

  nameTheme();
  system.addEventListener("change", () => { nameTheme(); drawSeen(); });
  addEventListener("beforeprint", () => Object.keys(data.charts).forEach(draw));
  byId("theme").addEventListener("click", switchTheme);
  build().then(() => {
    document.documentElement.dataset.ready = "";
    if ("live" in document.documentElement.dataset) renew("");
  });
})();
