//! Small plots, as SVG.

use crate::ops::report::page::markup::Markup;

/// The height of a plot in its own units.
const HEIGHT: u32 = 60;

/// The width of one bar, with the gap behind it.
const BAR: u32 = 10;

/// Returns a plot of bars with a title that says what it shows; `name` tells each bar.
pub(super) fn bars(title: &str, counts: &[u64], name: impl Fn(usize) -> String) -> Markup {
    let most = counts.iter().copied().max().unwrap_or(0);
    if most == 0 {
        return Markup::default();
    }
    let width = BAR * u32::try_from(counts.len()).unwrap_or(1).max(1);
    let bars = counts.iter().enumerate().map(|(place, count)| {
        // What is there is seen, however little of it.
        let share = u128::from(*count) * u128::from(HEIGHT) / u128::from(most);
        let height = u32::try_from(share)
            .unwrap_or(HEIGHT)
            .max(u32::from(*count > 0));
        let x = BAR * u32::try_from(place).unwrap_or(0);
        let said = Markup::of("title", format!("{}: {count}", name(place)));
        let attributes = [
            ("x", &*x.to_string()),
            ("y", &*(HEIGHT - height).to_string()),
            ("width", &*(BAR - 2).to_string()),
            ("height", &*height.to_string()),
        ];
        Markup::element("rect", &attributes, said)
    });
    let line = [
        ("class", "base"),
        ("x", "0"),
        ("y", &*HEIGHT.to_string()),
        ("width", &*width.to_string()),
        ("height", "1"),
    ];
    let inner = Markup::of("title", title)
        .then(bars.collect())
        .then(Markup::element("rect", &line, Markup::default()));
    let size = format!("0 0 {width} {}", HEIGHT + 1);
    let attributes = [
        ("role", "img"),
        ("aria-label", title),
        ("viewBox", &*size),
        ("width", &*width.to_string()),
        ("height", &*(HEIGHT + 1).to_string()),
    ];
    let plot = Markup::element("svg", &attributes, inner);
    let caption = Markup::of("figcaption", title);
    Markup::element("figure", &[], plot.then(caption))
}
