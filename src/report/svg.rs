//! A chart as inline SVG: points, lines and error bars over two axes.
//!
//! Series differ in colour (Okabe and Ito's, which the colour-blind tell apart), in the form of their
//! marks and in the dashes of their lines, so that a print in grey still tells them apart.

use super::table::escape;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Left, right, top and bottom of the plotting area; the legend stands right of it.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 440.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 310.0;

const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#8a8a00",
];
const DASHES: [&str; 4] = ["", "6 3", "2 3", "8 3 2 3"];

/// An axis with its label.
#[derive(Clone, Debug)]
pub struct Axis {
    pub label: String,
    /// Whether equal distances are equal factors; needs values above 0.
    pub logarithmic: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Axis {
        Axis {
            label: label.to_string(),
            logarithmic: false,
        }
    }

    fn at(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => value.ln(),
            false => value,
        }
    }
}

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
        let colour = COLOURS[index % COLOURS.len()];
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
                symbol(out, index, x, y, colour, mark.filled);
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
            symbol(out, index, RIGHT + 20.0, y, colour, true);
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

/// A circle, square, triangle or diamond around a point.
fn symbol(out: &mut String, index: usize, x: f64, y: f64, colour: &str, filled: bool) {
    let fill = if filled { colour } else { "#fff" };
    let style = format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.3\"");
    let _ = match index % 4 {
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

/// The ends of an axis, as it measures them, and where its ticks are.
struct Scale {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Scale {
    fn new(axis: &Axis, values: &[f64]) -> Option<Scale> {
        let shown = |v: &f64| axis.at(*v).is_finite();
        let low = values.iter().copied().filter(shown).reduce(f64::min)?;
        let high = values.iter().copied().filter(shown).reduce(f64::max)?;
        let (low_at, high_at) = (axis.at(low), axis.at(high));
        let margin = match high_at - low_at {
            0.0 => low_at.abs().max(1.0) * 0.1,
            extent => extent * 0.06,
        };
        let (from, to) = (low_at - margin, high_at + margin);
        let ticks = match axis.logarithmic {
            true => factors(from.exp(), to.exp()),
            false => steps(from, to),
        };
        Some(Scale {
            low: from,
            high: to,
            ticks,
        })
    }

    fn share(&self, axis: &Axis, value: f64) -> f64 {
        let at = (axis.at(value) - self.low) / (self.high - self.low);
        if at.is_finite() { at } else { 0.0 }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, about five of them.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    let step = step.into_iter().find(|s| *s >= raw).unwrap_or(power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// 1, 2 and 5 times powers of ten.
fn factors(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    powers
        .flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p)))
        .filter(|v| (low..=high).contains(v))
        .collect()
}

/// A tick's text: as many digits as it needs.
fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::{Axis, Chart, Mark, Series, factors, number, steps};

    #[test]
    fn ticks_are_round_numbers() {
        let text = |ticks: Vec<f64>| ticks.into_iter().map(number).collect::<Vec<_>>();
        assert_eq!(
            text(steps(0.243, 0.291)),
            ["0.25", "0.26", "0.27", "0.28", "0.29"]
        );
        assert_eq!(text(steps(-3.0, 17.0)), ["0", "5", "10", "15"]);
        assert_eq!(text(factors(8.0, 130.0)), ["10", "20", "50", "100"]);
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
