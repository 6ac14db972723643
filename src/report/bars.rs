//! Values with their intervals, one below the other beside their names (a forest plot), as SVG over a
//! logarithmic axis.

use super::scale::{Axis, Scale, number};
use super::svg::{COLOURS, symbol};
use super::table::escape;
use std::fmt::Write;

const WIDTH: f64 = 800.0;
/// Left and right of the plotting area; names stand left of it, texts right of it.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 660.0;
const TOP: f64 = 14.0;
const ROW: f64 = 20.0;
/// Letters of a name that fit left of the plotting area.
const LETTERS: usize = 50;

/// How a bar is drawn; the looks differ in colour, in the form of the mark and in its filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A blue circle.
    Good,
    /// A vermilion square.
    Bad,
    /// A hollow purple diamond.
    Unsure,
    /// A hollow black circle.
    Neutral,
}

/// A value with its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub name: String,
    pub value: f64,
    /// The ends of the interval.
    pub ends: [f64; 2],
    /// Shown beside it.
    pub text: String,
    pub look: Look,
}

/// A chart of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    pub title: String,
    /// What the axis measures.
    pub label: String,
    /// A band behind the bars from its first value to its last, with a line at its second.
    pub band: [f64; 3],
    pub bars: Vec<Bar>,
}

impl BarChart {
    /// An `<svg>`; an empty string where there is nothing finite to show.
    pub fn svg(&self) -> String {
        let axis = Axis {
            label: self.label.clone(),
            logarithmic: true,
        };
        let values = self
            .bars
            .iter()
            .flat_map(|b| [b.value, b.ends[0], b.ends[1]]);
        let values: Vec<f64> = values.chain(self.band).collect();
        let Some(scale) = Scale::new(&axis, &values).filter(|_| !self.bars.is_empty()) else {
            return String::new();
        };
        let px = |v: f64| LEFT + scale.share(&axis, v) * (RIGHT - LEFT);
        let bottom = TOP + ROW * self.bars.len() as f64;
        let height = bottom + 46.0;
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             font-family=\"sans-serif\" font-size=\"11\"><title>{}</title>\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>",
            escape(&self.title)
        );
        let [from, middle, to] = self.band.map(px);
        let _ = write!(
            out,
            "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#ececec\"/>",
            to - from,
            bottom - TOP
        );
        for tick in &scale.ticks {
            let (at, text) = (px(*tick), number(*tick));
            let _ = write!(
                out,
                "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#d8d8d8\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 15.0
            );
        }
        let _ = write!(
            out,
            "<path d=\"M{middle:.1} {TOP}V{bottom}\" stroke=\"#444\" stroke-dasharray=\"4 3\"/>\
             <path d=\"M{LEFT} {bottom}H{RIGHT}\" stroke=\"#444\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + RIGHT) / 2.0,
            bottom + 34.0,
            escape(&self.label)
        );
        for (index, bar) in self.bars.iter().enumerate() {
            bar.draw(&mut out, TOP + ROW * (index as f64 + 0.5), &px);
        }
        out.push_str("</svg>\n");
        out
    }
}

impl Bar {
    fn draw(&self, out: &mut String, y: f64, px: &impl Fn(f64) -> f64) {
        let (colour, form, filled) = match self.look {
            Look::Good => (COLOURS[0], 0, true),
            Look::Bad => (COLOURS[1], 1, true),
            Look::Unsure => (COLOURS[3], 3, false),
            Look::Neutral => (COLOURS[4], 0, false),
        };
        let [low, high] = self.ends.map(px);
        let base = y + 4.0;
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\"><title>{}</title>{}</text>\
             <path d=\"M{low:.1} {:.1}v6m0 -3H{high:.1}m0 -3v6\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"1.3\"/>\
             <text x=\"{:.1}\" y=\"{base:.1}\">{}</text>",
            LEFT - 8.0,
            escape(&self.name),
            escape(&shortened(&self.name)),
            y - 3.0,
            RIGHT + 10.0,
            escape(&self.text)
        );
        symbol(out, form, px(self.value), y, colour, filled);
    }
}

/// A name without its beginning where it is too long.
fn shortened(name: &str) -> String {
    let letters = name.chars().count();
    match letters > LETTERS {
        true => {
            let end: String = name.chars().skip(letters - LETTERS + 1).collect();
            format!("…{end}")
        }
        false => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Bar, BarChart, Look, shortened};

    #[test]
    fn bars_stand_where_their_values_are() {
        let mut chart = BarChart {
            title: "t".into(),
            label: "x".into(),
            band: [0.98, 1.0, 1.02],
            bars: Vec::new(),
        };
        assert_eq!(chart.svg(), "");
        chart.bars.push(Bar {
            name: "a<b".into(),
            value: 1.05,
            ends: [1.03, 1.07],
            text: "1.05 slower".into(),
            look: Look::Bad,
        });
        let svg = chart.svg();
        assert!(
            svg.contains("a&lt;b") && svg.contains("1.05 slower"),
            "{svg}"
        );
        // Ticks near 1, where a decade has none.
        assert!(svg.contains(">1.05<") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("short"), "short");
        let short = shortened(&format!("{}end", "x".repeat(60)));
        assert!(short.starts_with('…') && short.ends_with("end"));
        assert_eq!(short.chars().count(), 50);
    }
}
