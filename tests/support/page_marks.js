// What report.html marks: the row, layers beside it in the graph, plans of the curve, rectangles of the map, the band
// over the moments; what the foot says.
{
  const steps = selector => [...document.querySelectorAll(selector)].map(one => one.dataset.step ?? one.dataset.plan);
  const foot = document.querySelector("#layer");
  ({
    rows: steps("#layers [aria-selected=true]"),
    near: steps("#layers .near"),
    plans: steps("circle.near"),
    spaces: [...new Set(steps("#memory-map .chosen"))],
    moments: document.querySelector("#moments").getBBox().width > 0,
    foot: foot.checkVisibility() ? foot.querySelector("p").textContent : "",
  });
}
