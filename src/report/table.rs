//! A table, written as HTML, Markdown or CSV.

use std::fmt::Write;

/// A caption, a header and rows as long as it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub caption: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(caption: &str, header: &[&str]) -> Table {
        Table {
            caption: caption.to_string(),
            header: header.iter().map(|h| h.to_string()).collect(),
            rows: Vec::new(),
        }
    }

    /// A `<table>`.
    pub fn html(&self) -> String {
        let cells = |tag: &str, row: &[String]| {
            let cell = |c: &String| format!("<{tag}>{}</{tag}>", escape(c));
            row.iter().map(cell).collect::<String>()
        };
        let mut out = format!("<table><caption>{}</caption>\n", escape(&self.caption));
        let _ = writeln!(out, "<thead><tr>{}</tr></thead>", cells("th", &self.header));
        out.push_str("<tbody>\n");
        for row in &self.rows {
            let _ = writeln!(out, "<tr>{}</tr>", cells("td", row));
        }
        out.push_str("</tbody></table>\n");
        out
    }

    /// A Markdown table under its caption.
    pub fn markdown(&self) -> String {
        let line = |row: &[String]| {
            let cells: Vec<String> = row.iter().map(|c| c.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut out = format!("{}\n\n{}", self.caption, line(&self.header));
        let _ = writeln!(out, "|{}", "---|".repeat(self.header.len()));
        out.extend(self.rows.iter().map(|row| line(row)));
        out
    }

    /// Comma-separated values (RFC 4180) with the header, without the caption.
    pub fn csv(&self) -> String {
        let field = |cell: &String| match cell.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let line = |row: &Vec<String>| {
            let fields: Vec<String> = row.iter().map(field).collect();
            format!("{}\r\n", fields.join(","))
        };
        std::iter::once(&self.header)
            .chain(&self.rows)
            .map(line)
            .collect()
    }
}

/// Text as HTML and SVG show it.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn the_same_cells_in_every_form() {
        let mut table = Table::new("A & B", &["name", "a, \"b\""]);
        table.rows.push(vec!["x | <y>".into(), "1".into()]);
        assert_eq!(
            table.html(),
            "<table><caption>A &amp; B</caption>\n<thead><tr><th>name</th><th>a, &quot;b&quot;</th></tr></thead>\n\
             <tbody>\n<tr><td>x | &lt;y&gt;</td><td>1</td></tr>\n</tbody></table>\n"
        );
        assert_eq!(
            table.markdown(),
            "A & B\n\n| name | a, \"b\" |\n|---|---|\n| x \\| <y> | 1 |\n"
        );
        assert_eq!(table.csv(), "name,\"a, \"\"b\"\"\"\r\nx | <y>,1\r\n");
    }
}
