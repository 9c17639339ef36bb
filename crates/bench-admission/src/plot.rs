//! Plots, as SVG written by hand: readable on a light and on a dark page, and without colour.

use std::fmt::Write as _;

/// How far the axes reach, and what is written beside them.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) subtitle: &'a str,
    pub(crate) x: Axis<'a>,
    pub(crate) y: Axis<'a>,
}

/// One axis.
pub(crate) struct Axis<'a> {
    pub(crate) name: &'a str,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Where a mark stands, and what it says.
    pub(crate) marks: Vec<(f64, String)>,
    /// Small values get more room: a square root.
    pub(crate) is_root: bool,
}

impl Axis<'_> {
    /// Where a value stands, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_root { value.max(0.0).sqrt() } else { value };
        ((scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))).clamp(0.0, 1.0)
    }
}

/// A curve, or a single point.
pub(crate) struct Series {
    pub(crate) name: String,
    /// One of the colours of the style, from 0.
    pub(crate) colour: usize,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) is_dashed: bool,
    /// Marks every point.
    pub(crate) has_dots: bool,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 94.0;
const BOTTOM: f64 = 56.0;
/// Labels are at least so far apart.
const LINE: f64 = 17.0;

/// Colours that those with any kind of colour vision tell apart (Okabe and Ito), darker ones for a light page.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px;fill:#1c2430}\
.title{font-size:18px;font-weight:600}.quiet{fill:#5b6675}.page{fill:#ffffff}\
.grid{stroke:#e3e7ec;stroke-width:1}.curve{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}\
.dashed{stroke-dasharray:6 5}.lead{stroke-width:1;opacity:.55;fill:none}\
.c0{stroke:#5b6675}.c1{stroke:#0072b2}.c2{stroke:#009e73}.c3{stroke:#d55e00}.c4{stroke:#a8458c}.c5{stroke:#b07a00}.c6{stroke:#2b9ac0}.c7{stroke:#8a6d5a}\
.f0{fill:#5b6675}.f1{fill:#0072b2}.f2{fill:#00805d}.f3{fill:#c05200}.f4{fill:#a8458c}.f5{fill:#946600}.f6{fill:#217f9f}.f7{fill:#7d604e}\
circle{stroke:#ffffff;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6eaf0}.quiet{fill:#9aa6b5}.page{fill:#12161c}.grid{stroke:#2a323d}circle{stroke:#12161c}\
.c0{stroke:#9aa6b5}.c1{stroke:#4aa8ec}.c2{stroke:#2ccfa0}.c3{stroke:#ff8b45}.c4{stroke:#e58bc8}.c5{stroke:#f0bd4a}.c6{stroke:#6fd0f2}.c7{stroke:#c8a993}\
.f0{fill:#9aa6b5}.f1{fill:#4aa8ec}.f2{fill:#2ccfa0}.f3{fill:#ff8b45}.f4{fill:#e58bc8}.f5{fill:#f0bd4a}.f6{fill:#6fd0f2}.f7{fill:#c8a993}}";

/// Draws series in a frame.
pub(crate) fn draw(frame: &Frame<'_>, series: &[Series]) -> String {
    let x = |value: f64| LEFT + frame.x.at(value) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - frame.y.at(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\
         <title>{0}</title><style>{STYLE}</style><rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\
         <text class=\"title\" x=\"{LEFT}\" y=\"32\">{0}</text><text class=\"quiet\" x=\"{LEFT}\" y=\"53\">{1}</text>\n",
        escaped(frame.title),
        escaped(frame.subtitle),
    );
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (value, says) in &frame.x.marks {
        let at = x(*value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>\
             <text class=\"quiet\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 20.0,
            escaped(says)
        );
    }
    for (value, says) in &frame.y.marks {
        let at = y(*value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>\
             <text class=\"quiet\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.5,
            escaped(says)
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"quiet\" x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <text class=\"quiet\" x=\"{LEFT}\" y=\"{:.1}\">{}</text>",
        HEIGHT - 12.0,
        escaped(frame.x.name),
        TOP - 9.0,
        escaped(frame.y.name),
    );
    // Each name stands at the end of its curve, as far down as the one above it makes it go.
    let mut names: Vec<(f64, f64, &Series)> = Vec::new();
    for one in series {
        let dash = if one.is_dashed { " dashed" } else { "" };
        if one.points.len() > 1 {
            let path: Vec<String> = one.points.iter().map(|&(px, py)| format!("{:.1} {:.1}", x(px), y(py))).collect();
            let _ = writeln!(svg, "<path class=\"curve c{}{dash}\" d=\"M{}\"/>", one.colour, path.join("L"));
        }
        if one.has_dots || one.points.len() == 1 {
            for &(px, py) in &one.points {
                let _ = writeln!(
                    svg,
                    "<circle class=\"f{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/>",
                    one.colour,
                    x(px),
                    y(py)
                );
            }
        }
        if let Some(&(px, py)) = one.points.last() {
            names.push((x(px), y(py), one));
        }
    }
    names.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut free_from = TOP - LINE;
    let below = names.len();
    for (at, (px, py, one)) in names.into_iter().enumerate() {
        let room = bottom - LINE * (below - 1 - at) as f64;
        let label = py.max(free_from + LINE).min(room.max(free_from + LINE));
        free_from = label;
        let _ = writeln!(
            svg,
            "<path class=\"lead c{0}\" d=\"M{1:.1} {py:.1}L{2:.1} {label:.1}\"/>\
             <text class=\"f{0}\" x=\"{3:.1}\" y=\"{4:.1}\">{5}</text>",
            one.colour,
            px + 6.0,
            right + 10.0,
            right + 14.0,
            label + 4.5,
            escaped(&one.name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_names_every_curve_and_stays_in_its_frame() {
        let axis = |name| Axis { name, low: 0.0, high: 10.0, marks: vec![(5.0, "5".to_owned())], is_root: false };
        let frame = Frame { title: "Units & time", subtitle: "a < b", x: axis("x"), y: axis("y") };
        let curve = |name: &str, colour| Series {
            name: name.to_owned(),
            colour,
            points: vec![(0.0, 0.0), (50.0, 10.0)],
            is_dashed: false,
            has_dots: true,
        };
        let svg = draw(&frame, &[curve("ours", 1), curve("theirs", 2)]);
        assert!(svg.contains("Units &amp; time") && svg.contains("ours") && svg.contains("theirs"));
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(!svg.contains("NaN"));
    }
}
