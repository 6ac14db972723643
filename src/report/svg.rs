//! A chart as inline SVG: points, lines and error bars over two axes.
//!
//! Series differ in colour (Okabe and Ito's, which the colour-blind tell apart), in the form of their
//! marks and in the dashes of their lines, so that a print in grey still tells them apart.

use super::scale::{Axis, Scale, number};
use super::table::escape;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Left, right, top and bottom of the plotting area; the legend stands right of it.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 440.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 310.0;

pub(super) const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#8a8a00",
];
/// Forms of marks: see [`symbol`].
const FORMS: usize = 4;
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

/// A point.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    pub x: f64,
    pub y: f64,
    /// Half the length of the error bar on either side; 0: none.
    pub error: f64,
    /// Text beside it.
    pub label: String,
    /// Drawn filled; else hollow.
    pub filled: bool,
}

/// Points of one method.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub marks: Vec<Mark>,
    /// Whether a line joins them.
    pub line: bool,
    /// Whether every mark is drawn; else the line alone.
    pub dots: bool,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

impl Chart {
    /// An `<svg>`; an empty string where there is nothing finite to show.
    pub fn svg(&self) -> String {
        let marks = || self.series.iter().flat_map(|s| &s.marks);
        let xs: Vec<f64> = marks().map(|m| m.x).collect();
        let ys: Vec<f64> = marks()
            .flat_map(|m| [m.y - m.error, m.y + m.error])
            .collect();
        let (Some(x), Some(y)) = (Scale::new(&self.x, &xs), Scale::new(&self.y, &ys)) else {
            return String::new();
        };
        let px = |v: f64| LEFT + x.share(&self.x, v) * (RIGHT - LEFT);
        let py = |v: f64| BOTTOM - y.share(&self.y, v) * (BOTTOM - TOP);
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             font-family=\"sans-serif\" font-size=\"11\"><title>{}</title>",
            escape(&self.title)
        );
        for tick in &x.ticks {
            let (at, text) = (px(*tick), number(*tick));
            let _ = write!(
                out,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{BOTTOM}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                BOTTOM + 15.0
            );
        }
        for tick in &y.ticks {
            let (at, text) = (py(*tick), number(*tick));
            let _ = write!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 6.0,
                at + 4.0
            );
        }
        let (middle_x, middle_y) = ((LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0);
        let _ = write!(
            out,
            "<path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#444\"/>\
             <text x=\"{middle_x}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(14 {middle_y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 36.0,
            escape(&self.x.label),
            escape(&self.y.label)
        );
        for (index, series) in self.series.iter().enumerate() {
            series.draw(&mut out, index, &px, &py);
        }
        out.push_str("</svg>\n");
        out
    }
}

impl Series {
    fn draw(
        &self,
        out: &mut String,
        index: usize,
        px: &impl Fn(f64) -> f64,
        py: &impl Fn(f64) -> f64,
    ) {
        let (colour, form) = look(index);
        let dash = DASHES[index / 2 % DASHES.len()];
        if self.line {
            let points: Vec<String> = self
                .marks
                .iter()
                .map(|m| format!("{:.1},{:.1}", px(m.x), py(m.y)))
                .collect();
            let _ = write!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" \
                 stroke-dasharray=\"{dash}\"/>",
                points.join(" ")
            );
        }
        for mark in &self.marks {
            let (x, y) = (px(mark.x), py(mark.y));
            if mark.error > 0.0 {
                let (low, high) = (py(mark.y - mark.error), py(mark.y + mark.error));
                let _ = write!(
                    out,
                    "<path d=\"M{x:.1} {low:.1}V{high:.1}\" stroke=\"{colour}\"/>"
                );
            }
            if self.dots {
                symbol(out, form, x, y, colour, mark.filled);
            }
            if !mark.label.is_empty() {
                let _ = write!(
                    out,
                    "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"{colour}\">{}</text>",
                    x + 6.0,
                    y - 5.0,
                    escape(&mark.label)
                );
            }
        }
        let y = TOP + 10.0 + 18.0 * index as f64;
        if self.line {
            let _ = write!(
                out,
                "<path d=\"M{:.1} {y}H{:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\" \
                 stroke-dasharray=\"{dash}\"/>",
                RIGHT + 10.0,
                RIGHT + 30.0
            );
        }
        if self.dots {
            symbol(out, form, RIGHT + 20.0, y, colour, true);
        }
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            RIGHT + 36.0,
            y + 4.0,
            escape(&self.name)
        );
    }
}

/// Colour and form of a series: no two of the first 32 have both alike.
fn look(index: usize) -> (&'static str, usize) {
    let turns = index / COLOURS.len();
    (COLOURS[index % COLOURS.len()], (index + turns) % FORMS)
}

/// A circle, square, triangle or diamond around a point.
pub(super) fn symbol(out: &mut String, form: usize, x: f64, y: f64, colour: &str, filled: bool) {
    let fill = if filled { colour } else { "#fff" };
    let style = format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.3\"");
    let _ = match form {
        0 => write!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\" {style}/>"
        ),
        1 => write!(
            out,
            "<path d=\"M{:.1} {:.1}h6.6v6.6h-6.6z\" {style}/>",
            x - 3.3,
            y - 3.3
        ),
        2 => write!(
            out,
            "<path d=\"M{x:.1} {:.1}l4 7.2h-8z\" {style}/>",
            y - 4.4
        ),
        _ => write!(
            out,
            "<path d=\"M{x:.1} {:.1}l4.4 4.4l-4.4 4.4l-4.4 -4.4z\" {style}/>",
            y - 4.4
        ),
    };
}

#[cfg(test)]
mod tests {
    use super::{Axis, Chart, Mark, Series, look};
    use std::collections::BTreeSet;

    #[test]
    fn series_differ() {
        let looks: BTreeSet<_> = (0..32).map(look).collect();
        assert_eq!(looks.len(), 32);
    }

    #[test]
    fn nothing_to_show_is_nothing() {
        let mut chart = Chart {
            title: "t".into(),
            x: Axis::linear("x"),
            y: Axis::linear("y"),
            series: Vec::new(),
        };
        assert_eq!(chart.svg(), "");
        chart.series.push(Series {
            name: "a<b".into(),
            marks: vec![Mark::default()],
            line: true,
            dots: true,
        });
        let svg = chart.svg();
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN"), "{svg}");
    }
}
