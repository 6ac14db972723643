//! The report of a study: tables in the paper's layout, plots, queries side by side; as one HTML page
//! that opens offline, as Markdown and as CSV.

mod bars;
mod cell;
mod curves;
mod page;
mod plots;
mod scale;
mod shares;
mod svg;
mod table;
mod tables;
mod totals;

pub use bars::{Bar, BarChart, Look};
pub use cell::{Cell, Latency, QueryResult};
pub use curves::{Curve, read_curves};
pub use scale::Axis;
pub use svg::{Chart, Mark, Series};
pub use table::Table;
pub use totals::{Spread, Total, totals};

use crate::data::{DataError, write_atomic};
use plots::Drawn;
use std::path::Path;

/// Everything that a report shows.
pub struct Report<'a> {
    pub title: &'a str,
    /// Name of the method that the others are tested against.
    pub baseline: &'a str,
    /// Results, in the order of the methods, budgets and seeds.
    pub cells: &'a [Cell],
    /// Learning curves of the trainings.
    pub curves: &'a [Curve],
    /// Path and text of every recipe.
    pub recipes: &'a [(String, String)],
    /// The command that makes it.
    pub command: String,
}

impl Report<'_> {
    /// Writes `report.html`, `report.md`, `results.csv`, `queries.csv` and the plots, `figures/*.svg`, into
    /// `folder`, each whole or not at all.
    ///
    /// # Errors
    /// [`DataError`] naming the file that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DataError> {
        let totals = totals(self.baseline, self.cells);
        let write = |name: &str, text: String| {
            write_atomic(&folder.join(name), |out| out.write_all(text.as_bytes()))
        };
        let drawn = Drawn::of(&totals, self.curves);
        write("report.html", page::html(self, &totals, &drawn))?;
        write("report.md", tables::markdown(self, &totals))?;
        write("results.csv", tables::results(&totals).csv())?;
        write("queries.csv", tables::queries(self.cells).csv())?;
        let figures = folder.join("figures");
        std::fs::create_dir_all(&figures).map_err(DataError::io("create", &figures))?;
        // A plot of nothing is empty.
        for (name, svg) in drawn.named().filter(|(_, svg)| !svg.is_empty()) {
            write(&format!("figures/{name}.svg"), svg.to_string())?;
        }
        Ok(())
    }
}
