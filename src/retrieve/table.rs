//! Aligned tables for the terminal.

use std::fmt;

/// A table of text. Columns whose cells are all numbers are aligned to the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTable {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl TextTable {
    /// A table without rows.
    pub fn new(header: Vec<String>) -> TextTable {
        TextTable {
            header,
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells beyond the header are dropped, absent ones are blank.
    pub fn push(&mut self, mut row: Vec<String>) {
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row[column].as_str())
    }

    fn is_number(&self, column: usize) -> bool {
        let number = |cell: &str| cell.is_empty() || cell.parse::<f64>().is_ok();
        self.cells(column).all(number)
    }
}

impl fmt::Display for TextTable {
    /// The header, a rule, and the rows, every line ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |cell: &str| cell.chars().count();
        let columns: Vec<(usize, bool)> = (0..self.header.len())
            .map(|column| {
                let cells = self.cells(column).chain([self.header[column].as_str()]);
                (cells.map(length).max().unwrap_or(0), self.is_number(column))
            })
            .collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            let mut text = String::new();
            for (cell, &(width, number)) in cells.iter().zip(&columns) {
                let padding = " ".repeat(width - length(cell));
                let (before, after) = if number {
                    (padding.as_str(), "")
                } else {
                    ("", padding.as_str())
                };
                text.extend([before, cell, after, "  "]);
            }
            writeln!(f, "{}", text.trim_end())
        };
        line(f, &self.header)?;
        let rule: Vec<String> = columns
            .iter()
            .map(|(width, _)| "─".repeat(*width))
            .collect();
        line(f, &rule)?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}
