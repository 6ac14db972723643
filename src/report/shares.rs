//! Shares of a whole, a bar below the other beside their names, as SVG.

use super::svg::COLOURS;
use super::table::escape;
use std::fmt::Write;

const WIDTH: f64 = 640.0;
/// Left and right of the plotting area; names stand left of it, percentages right of it.
const LEFT: f64 = 200.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 10.0;
const ROW: f64 = 26.0;
const BAR: f64 = 14.0;
/// Percentages with a line.
const TICKS: [f64; 5] = [0.0, 25.0, 50.0, 75.0, 100.0];

/// A chart of bars of two parts; the first is filled, the second hollow, so that a print in grey tells them
/// apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ShareChart {
    pub title: String,
    /// What is divided.
    pub label: String,
    /// What the parts are.
    pub parts: [String; 2],
    /// Names, and the share of the first part, from 0 to 1.
    pub bars: Vec<(String, f64)>,
}

impl ShareChart {
    /// An `<svg>`; an empty string where there is nothing to show.
    pub fn svg(&self) -> String {
        if self.bars.is_empty() {
            return String::new();
        }
        let px = |percent: f64| LEFT + percent / 100.0 * (RIGHT - LEFT);
        let bottom = TOP + ROW * self.bars.len() as f64;
        let height = bottom + 64.0;
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             font-family=\"sans-serif\" font-size=\"11\"><title>{}</title>",
            escape(&self.title)
        );
        for tick in TICKS {
            let at = px(tick);
            let _ = write!(
                out,
                "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#e4e4e4\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick} %</text>",
                bottom + 15.0
            );
        }
        let _ = write!(
            out,
            "<path d=\"M{LEFT} {bottom}H{RIGHT}\" stroke=\"#444\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + RIGHT) / 2.0,
            bottom + 34.0,
            escape(&self.label)
        );
        for (at, (name, share)) in self.bars.iter().enumerate() {
            let middle = TOP + ROW * (at as f64 + 0.5);
            let (top, base) = (middle - BAR / 2.0, middle + 4.0);
            let percent = 100.0 * share.clamp(0.0, 1.0);
            part(&mut out, 0, [LEFT, px(percent)], top);
            part(&mut out, 1, [px(percent), RIGHT], top);
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{:.1}\" y=\"{base:.1}\">{percent:.0} %</text>",
                LEFT - 8.0,
                escape(name),
                RIGHT + 8.0,
            );
        }
        let middle = (LEFT + RIGHT) / 2.0;
        for (at, (name, left)) in self.parts.iter().zip([LEFT, middle]).enumerate() {
            part(&mut out, at, [left, left + BAR], bottom + 44.0);
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left + BAR + 6.0,
                bottom + 44.0 + BAR / 2.0 + 4.0,
                escape(name)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Part `index` between two ends, below `top`.
fn part(out: &mut String, index: usize, [from, to]: [f64; 2], top: f64) {
    let colour = COLOURS[index];
    let fill = if index == 0 { colour } else { "#fff" };
    let _ = write!(
        out,
        "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{fill}\" \
         stroke=\"{colour}\"/>",
        to - from
    );
}

#[cfg(test)]
mod tests {
    use super::ShareChart;

    #[test]
    fn parts_are_as_long_as_their_shares() {
        let mut chart = ShareChart {
            title: "t".into(),
            label: "x".into(),
            parts: ["good".into(), "bad".into()],
            bars: Vec::new(),
        };
        assert_eq!(chart.svg(), "");
        chart.bars.push(("a<b".into(), 0.75));
        let svg = chart.svg();
        assert!(svg.contains("a&lt;b") && svg.contains(">75 %<"), "{svg}");
        // Of the 360 between the ends.
        for part in [
            "x=\"200.0\" y=\"16.0\" width=\"270.0\"",
            "x=\"470.0\" y=\"16.0\" width=\"90.0\"",
        ] {
            assert!(svg.contains(part), "{svg}");
        }
    }
}
