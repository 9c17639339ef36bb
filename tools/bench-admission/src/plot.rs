//! Plots as hand-written SVG, readable on a light and on a dark page, and without colour.

use std::fmt::Write as _;

/// The axes and labels of a plot.
pub(crate) struct PlotFrame<'a> {
    pub(crate) title: &'a str,
    pub(crate) subtitle: &'a str,
    pub(crate) x: Axis<'a>,
    pub(crate) y: Axis<'a>,
    pub(crate) names: Names,
}

/// The position of the series' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Beside the end of each curve, connected by a line.
    AtEnds,
    /// In a list, in the order of the series, each with a sample of its line: for curves that end
    /// in one place.
    Listed,
}

/// One axis.
pub(crate) struct Axis<'a> {
    pub(crate) name: &'a str,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The positions and labels of the marks.
    pub(crate) marks: Vec<(f64, String)>,
    /// Uses a square-root scale, which gives small values more room.
    pub(crate) is_root: bool,
}

impl Axis<'_> {
    /// The position of a value, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_root { value.max(0.0).sqrt() } else { value };
        ((scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))).clamp(0.0, 1.0)
    }
}

/// A curve, or a single point.
pub(crate) struct Series {
    pub(crate) name: String,
    /// A second line below the name, in a list.
    pub(crate) note: String,
    /// Index of a colour of the style.
    pub(crate) colour: usize,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) is_dashed: bool,
    /// Highlighted points.
    pub(crate) dots: Vec<(f64, f64)>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 246.0;
const TOP: f64 = 94.0;
const BOTTOM: f64 = 56.0;
/// Minimum distance of labels, and of labels with a note.
const LINE: f64 = 17.0;
const LISTED: f64 = 46.0;

/// Colours that are distinct for all kinds of colour vision (Okabe and Ito), darker on a light
/// page.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px;fill:#1c2430}\
.title{font-size:18px;font-weight:600}.quiet{fill:#5b6675}.note{font-size:12px}.page{fill:#ffffff}\
.grid{stroke:#e3e7ec;stroke-width:1}.curve{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}\
.dashed{stroke-dasharray:6 5}.lead{stroke-width:1;opacity:.55;fill:none}\
.c0{stroke:#5b6675}.c1{stroke:#0072b2}.c2{stroke:#009e73}.c3{stroke:#d55e00}.c4{stroke:#a8458c}.c5{stroke:#b07a00}.c6{stroke:#2b9ac0}.c7{stroke:#8a6d5a}\
.f0{fill:#5b6675}.f1{fill:#0072b2}.f2{fill:#00805d}.f3{fill:#c05200}.f4{fill:#a8458c}.f5{fill:#946600}.f6{fill:#217f9f}.f7{fill:#7d604e}\
circle{stroke:#ffffff;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6eaf0}.quiet{fill:#9aa6b5}.page{fill:#12161c}.grid{stroke:#2a323d}circle{stroke:#12161c}\
.c0{stroke:#9aa6b5}.c1{stroke:#4aa8ec}.c2{stroke:#2ccfa0}.c3{stroke:#ff8b45}.c4{stroke:#e58bc8}.c5{stroke:#f0bd4a}.c6{stroke:#6fd0f2}.c7{stroke:#c8a993}\
.f0{fill:#9aa6b5}.f1{fill:#4aa8ec}.f2{fill:#2ccfa0}.f3{fill:#ff8b45}.f4{fill:#e58bc8}.f5{fill:#f0bd4a}.f6{fill:#6fd0f2}.f7{fill:#c8a993}}";

/// Draws series in a frame.
pub(crate) fn draw(frame: &PlotFrame<'_>, series: &[Series]) -> String {
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
    for one in series {
        let dash = if one.is_dashed { " dashed" } else { "" };
        if one.points.len() > 1 {
            let path: Vec<String> = one.points.iter().map(|&(px, py)| format!("{:.1} {:.1}", x(px), y(py))).collect();
            let _ = writeln!(svg, "<path class=\"curve c{}{dash}\" d=\"M{}\"/>", one.colour, path.join("L"));
        }
    }
    // Drawn above all curves.
    for one in series {
        for &(px, py) in &one.dots {
            let (px, py) = (x(px), y(py));
            let _ = writeln!(svg, "<circle class=\"f{}\" cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"5\"/>", one.colour);
        }
    }
    match frame.names {
        Names::AtEnds => names_at_ends(&mut svg, series, &|(px, py)| (x(px), y(py))),
        Names::Listed => names_listed(&mut svg, series),
    }
    svg.push_str("</svg>\n");
    svg
}

/// Places each name at the end of its curve, moved down if the one above needs the space.
fn names_at_ends(svg: &mut String, series: &[Series], place: &dyn Fn((f64, f64)) -> (f64, f64)) {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut names: Vec<((f64, f64), &Series)> =
        series.iter().filter_map(|one| Some((place(*one.points.last()?), one))).collect();
    names.sort_by(|a, b| a.0.1.total_cmp(&b.0.1));
    let mut free_from = TOP - LINE;
    let below = names.len();
    for (at, ((px, py), one)) in names.into_iter().enumerate() {
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
}

/// Places the names in a list beside the frame.
fn names_listed(svg: &mut String, series: &[Series]) {
    let left = WIDTH - RIGHT + 14.0;
    for (at, one) in series.iter().enumerate() {
        let top = TOP + 12.0 + LISTED * at as f64;
        let _ = writeln!(
            svg,
            "<path class=\"curve c{0}{1}\" d=\"M{left:.1} {2:.1}h20\"/>\
             <text class=\"f{0}\" x=\"{3:.1}\" y=\"{top:.1}\">{4}</text>\
             <text class=\"quiet note\" x=\"{3:.1}\" y=\"{5:.1}\">{6}</text>",
            one.colour,
            if one.is_dashed { " dashed" } else { "" },
            top - 4.5,
            left + 27.0,
            escaped(&one.name),
            top + 16.0,
            escaped(&one.note)
        );
    }
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
        let frame = |names| PlotFrame { title: "Units & time", subtitle: "a < b", x: axis("x"), y: axis("y"), names };
        let curve = |name: &str, colour| Series {
            name: name.to_owned(),
            note: "none".to_owned(),
            colour,
            points: vec![(0.0, 0.0), (50.0, 10.0)],
            is_dashed: false,
            dots: vec![(0.0, 0.0), (50.0, 10.0)],
        };
        for names in [Names::AtEnds, Names::Listed] {
            let svg = draw(&frame(names), &[curve("ours", 1), curve("theirs", 2)]);
            assert!(svg.contains("Units &amp; time") && svg.contains(">ours<") && svg.contains(">theirs<"));
            assert_eq!(svg.matches("<circle").count(), 4);
            assert_eq!(svg.matches(">none<").count(), if names == Names::Listed { 2 } else { 0 });
            assert!(!svg.contains("NaN"));
            let numbers = svg.split([' ', '"', 'M', 'L']).filter_map(|part| part.parse::<f64>().ok());
            assert!(numbers.into_iter().all(|number| (0.0..=WIDTH).contains(&number)), "nothing leaves the picture");
        }
    }
}
