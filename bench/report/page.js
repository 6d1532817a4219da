// Draws the plots of the page from the numbers in #plots. All scales, ticks and texts
// were made before; what goes wrong is listed in #script-errors.
(function () {
	"use strict";

	const root = document.documentElement;
	const errors = document.getElementById("script-errors");

	function fail(text) {
		const item = document.createElement("li");
		item.textContent = text;
		errors.append(item);
		errors.hidden = false;
	}
	window.addEventListener("error", (e) => fail(e.message));
	document.addEventListener("securitypolicyviolation", (e) => fail("policy: " + e.violatedDirective));

	const plots = JSON.parse(document.getElementById("plots").textContent) || [];
	const charts = new Map(); // by element
	const paper = 680; // width of a page, CSS pixels

	const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
	const font = (size, weight) => (weight || 400) + " " + size + "px " + getComputedStyle(document.body).fontFamily;

	function number(v) {
		const digits = Math.abs(v) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 };
		return v.toLocaleString("en", digits);
	}

	function axis(a, more) {
		return Object.assign({
			label: a.title,
			labelSize: 20,
			labelGap: 2,
			labelFont: font(12),
			font: font(11),
			stroke: colour("muted"),
			grid: { stroke: colour("grid"), width: 1 },
			ticks: { stroke: colour("rule"), width: 1, size: 5 },
			splits: () => a.ticks,
			values: () => a.texts,
			filter: (u, splits) => splits,
		}, more);
	}

	// A plot with least and most values has three lines for a subject: the values, and
	// the edges of the band around them.
	function lines(p) {
		const series = [{}], data = [p.at], bands = [];
		for (const s of [...p.series].reverse()) { // the first is drawn last, above the others
			const stroke = colour("s" + s.colour);
			if (p.bars) {
				series.push({ fill: stroke, points: { show: false }, paths: uPlot.paths.bars({ size: [0.86, 56] }) });
				data.push(s.values);
				continue;
			}
			series.push({ stroke: stroke, width: 2, dash: s.dashed ? [6, 4] : undefined, spanGaps: Boolean(s.least),
				points: { show: Boolean(s.least), size: 6, fill: stroke } });
			data.push(s.values);
			if (s.least) {
				const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
				series.push(Object.assign({}, edge), Object.assign({}, edge));
				data.push(s.most, s.least);
				bands.push({ series: [series.length - 2, series.length - 1], fill: stroke + "2e" });
			}
		}
		return { series, data, bands };
	}

	// barTexts writes its value on each bar, and draws the line from least to most.
	function barTexts(p) {
		return (u) => {
			const ctx = u.ctx, ratio = devicePixelRatio;
			const step = Math.abs(u.valToPos(1, "x", true) - u.valToPos(0, "x", true));
			ctx.save();
			ctx.lineWidth = 1.5 * ratio;
			ctx.strokeStyle = ctx.fillStyle = colour("text");
			ctx.textAlign = "center";
			ctx.font = font(11 * ratio);
			for (const s of p.series) {
				s.values.forEach((v, i) => {
					if (v === null) return;
					const x = u.valToPos(p.at[i], "x", true);
					let top = u.valToPos(v, "y", true);
					if (s.least && s.least[i] < s.most[i]) {
						top = u.valToPos(s.most[i], "y", true);
						ctx.beginPath();
						ctx.moveTo(x, u.valToPos(s.least[i], "y", true));
						ctx.lineTo(x, top);
						ctx.stroke();
					}
					const text = number(v);
					if (ctx.measureText(text).width <= step + 2 * ratio) ctx.fillText(text, x, top - 4 * ratio);
				});
			}
			ctx.restore();
		};
	}

	// tip shows the numbers at the place that is pointed at.
	function tip(p) {
		let box;
		return {
			init: (u) => {
				box = document.createElement("div");
				box.className = "tip";
				box.hidden = true;
				u.over.append(box);
			},
			setCursor: (u) => {
				const i = u.cursor.idx;
				const here = i == null || u.cursor.left < 0 ? [] : p.series.filter((s) => s.values[i] != null);
				box.hidden = here.length === 0;
				if (box.hidden) return;
				box.replaceChildren(p.labels[i]);
				for (const s of here.sort((a, b) => b.values[i] - a.values[i])) {
					const line = document.createElement("p"), swatch = document.createElement("i");
					swatch.className = "swatch s" + s.colour;
					let text = s.name + ": " + number(s.values[i]);
					if (s.least && s.least[i] < s.most[i]) text += " (" + number(s.least[i]) + "–" + number(s.most[i]) + ")";
					line.append(swatch, text);
					box.append(line);
				}
				const left = u.cursor.left > u.over.clientWidth / 2 ? u.cursor.left - box.offsetWidth - 12 : u.cursor.left + 12;
				box.style.left = Math.max(0, left) + "px";
				box.style.top = Math.max(0, Math.min(u.cursor.top, u.over.clientHeight - box.offsetHeight)) + "px";
			},
		};
	}

	function draw(element) {
		const p = plots[element.dataset.plot];
		const { series, data, bands } = lines(p);
		const tooltip = tip(p);
		const rows = p.x.texts.reduce((n, t) => Math.max(n, t.split("\n").length), 1);
		const options = {
			width: "printing" in root.dataset ? Math.min(element.clientWidth, paper) : element.clientWidth,
			height: (element.closest(".wide") ? 320 : 260) + 17 * (rows - 1),
			legend: { show: false },
			cursor: { drag: { x: false, y: false }, y: false, points: { show: !p.bars } },
			padding: [14, 24, 0, 4],
			scales: {
				x: { time: false, distr: p.x.log ? 3 : 1, range: () => [p.x.from, p.x.to] },
				y: { distr: p.y.log ? 3 : 1, range: () => [p.y.from, p.y.to] },
			},
			axes: [
				axis(p.x, { size: 8 + 17 * rows, font: font(p.bars ? 10 : 11), grid: { show: !p.bars, stroke: colour("grid"), width: 1 } }),
				axis(p.y, { size: 62 }),
			],
			series, bands,
			hooks: {
				init: [tooltip.init],
				setCursor: [tooltip.setCursor],
				draw: [p.bars ? barTexts(p) : () => {}, () => { element.dataset.state = "drawn"; }],
			},
		};
		charts.get(element)?.destroy();
		charts.set(element, new uPlot(options, data, element));
	}

	function drawAll() {
		for (const element of document.querySelectorAll(".plot")) {
			try {
				draw(element);
			} catch (e) {
				element.classList.add("failed");
				element.dataset.state = "failed";
				fail("plot " + element.dataset.plot + ": " + e.message);
			}
		}
	}

	drawAll();
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
	let width = innerWidth;
	window.addEventListener("resize", () => {
		if (width !== innerWidth) drawAll();
		width = innerWidth;
	});
	// On paper the page is light, whatever the screen is.
	window.addEventListener("beforeprint", () => { root.dataset.printing = ""; drawAll(); });
	window.addEventListener("afterprint", () => { delete root.dataset.printing; drawAll(); });
})();
