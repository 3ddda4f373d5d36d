// Draws the charts of a page from the series that it shows as text: again as they change, in the theme's colours.
(() => {
  const units = [[60, 1 / 60, " min"], [1, 1, " s"], [0, 1000, " ms"]];

  function showSeconds(value) {
    if (value == null) return "none";
    const [, factor, unit] = units.find(([least]) => value >= least);
    return +(value * factor).toPrecision(3) + unit;
  }

  const whole = [...Array(12).keys()].flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));

  const seconds = [
    ...[0.001, 0.01, 0.1].flatMap((unit) => [1, 2, 5].map((digit) => digit * unit)),
    ...[1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400, 604800],
  ];

  const kinds = {
    throughput: { show: (value) => (value ?? 0).toLocaleString("en"), bars: true, steps: whole },
    lateness: { show: showSeconds, bars: false, steps: seconds },
  };

  const color = (name, share) => {
    const value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    return share ? value + Math.round(share * 255).toString(16).padStart(2, "0") : value;
  };

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.host = figure.querySelector(".plot");
      this.kind = kinds[figure.dataset.chart];
      this.says = document.createElement("p");
      this.says.className = "says soft";
      this.host.after(this.says);
      this.draw();
      new ResizeObserver(() => this.resize()).observe(this.host);
    }

    get series() {
      return JSON.parse(this.figure.querySelector("[data-series]").dataset.series);
    }

    draw() {
      this.plot?.destroy();
      const { names, colors } = this.figure.dataset;
      const axis = { stroke: color("soft"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      const show = this.kind.show;
      this.names = names.split(",");
      this.plot = new uPlot(
        {
          ...this.size(),
          padding: [8, 18, 0, 0],
          legend: { show: false },
          cursor: { y: false, points: { show: !this.kind.bars, size: 7 }, drag: { x: false } },
          scales: {
            x: { range: (_, first, last) => [first, last + (this.kind.bars ? 60 : 0)] }, // a bar stands right of its minute's beginning
            y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
          },
          axes: [
            { ...axis, grid: { show: false }, size: 22, gap: 4, values: "{HH}:{mm}", space: 60 },
            { ...axis, size: 52, gap: 6, space: 28, incrs: this.kind.steps, values: (_, ticks) => ticks.map((tick) => show(tick)) },
          ],
          series: [
            {},
            ...colors.split(",").map((name, index) => ({
              label: this.names[index],
              stroke: color(name),
              fill: this.kind.bars ? color(name) : color(name, 0.12),
              width: this.kind.bars ? 0 : 1.5,
              points: { show: !this.kind.bars, size: 4, fill: color(name) },
              paths: this.kind.bars ? uPlot.paths.bars({ size: [0.72, 24], align: 1 }) : undefined,
              spanGaps: true,
            })),
          ],
          hooks: { setCursor: [(plot) => this.say(plot.cursor.idx)] },
        },
        this.series,
        this.host,
      );
    }

    size() {
      return { width: Math.max(200, this.host.clientWidth), height: 130 };
    }

    resize() {
      this.plot.setSize(this.size());
    }

    update() {
      this.plot.setData(this.series);
    }

    say(index) {
      const data = this.plot?.data;
      if (index == null || !data) return void (this.says.textContent = "");
      const time = new Date(data[0][index] * 1000).toTimeString().slice(0, 5);
      const values = this.names.map((name, at) => `${name} ${this.kind.show(data[at + 1][index])}`);
      this.says.textContent = `${time}: ${values.join(", ")}`;
    }
  }

  const charts = [...document.querySelectorAll("figure[data-chart]")].map((figure) => new Chart(figure));
  const redraw = () => charts.forEach((chart) => chart.draw());
  document.addEventListener("htmx:sseMessage", (event) => {
    charts.find((chart) => chart.figure.contains(event.target))?.update();
  });
  document.addEventListener("headbox:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
