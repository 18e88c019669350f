// What a reader would find wrong with a page, as the browser has laid it out: each function gives the words it is about.
{
  const WORDS = "h1, h2, p, a, td, th, .card *, .legend span, footer";
  const wordsOf = elements => elements.map(one => one.textContent.trim());
  const all = selector => [...document.querySelectorAll(selector)].filter(one => one.checkVisibility({visibilityProperty: true, opacityProperty: true}));

  const faults = {
    // Beyond the right edge, outside of parts that scroll; "page" where the whole is wider than its window.
    cutOff() {
      const right = document.documentElement.clientWidth;
      const beyond = all(`${WORDS}, .pair svg text`)
        .filter(one => !one.closest(".scroll") && one.getBoundingClientRect().right > right + 1);
      return [...wordsOf(beyond), ...(document.documentElement.scrollWidth > right ? ["page"] : [])];
    },

    // Numbers that go on in a second line.
    broken() {
      return wordsOf(all("td.n").filter(one => {
        const words = document.createRange();
        words.selectNodeContents(one);
        return new Set([...words.getClientRects()].map(box => Math.round(box.top))).size > 1;
      }));
    },

    // Pairs of words in one picture that stand on each other.
    overlapping() {
      return all("svg").flatMap(picture => {
        const boxes = [...picture.querySelectorAll("text")].map(one => [one.textContent, one.getBoundingClientRect()]);
        return boxes.flatMap(([words, a], index) => boxes.slice(index + 1)
          .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4)
          .map(([others]) => `${words} | ${others}`));
      });
    },

    // Words with less contrast than 4.5 against the page, which WCAG 2 asks of text.
    faint() {
      const light = colour => {
        const [r, g, b] = colour.match(/[0-9.]+/g).map(one => one / 255)
          .map(one => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const page = light(getComputedStyle(document.body).backgroundColor);
      return wordsOf(all(`${WORDS}, svg text`).filter(one => {
        const style = getComputedStyle(one);
        const ink = light(one.matches("text") ? style.fill : style.color);
        return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05) < 4.5;
      }));
    },
  };
  Object.fromEntries(Object.entries(faults).map(([name, find]) => [name, find()]).filter(([, found]) => found.length));
}
