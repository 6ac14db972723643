//! The report as one HTML page without scripts and without anything from elsewhere.

use super::plots::Drawn;
use super::table::escape;
use super::totals::Total;
use super::{Report, plots, tables};
use std::fmt::Write;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:#1a1a1a;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #ddd}\
p.origin{color:#555;margin-top:0}\
table{border-collapse:collapse;font-size:.85rem;margin:1rem 0;width:100%}\
caption{text-align:left;color:#555;padding-bottom:.3rem}\
th,td{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #e6e6e6;vertical-align:top}\
th{border-bottom:1.5px solid #444}\
figure{margin:1rem 0}figcaption{color:#555;font-size:.85rem}svg{max-width:40rem;width:100%;height:auto}\
pre{background:#f6f6f6;padding:.8rem;overflow-x:auto;font-size:.8rem}\
@media print{body{max-width:none}details{display:none}}";

/// The page.
pub fn html(report: &Report<'_>, totals: &[Total], drawn: &Drawn) -> String {
    let title = escape(report.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n<p class=\"origin\">{}</p>\n",
        escape(&tables::origin(report))
    );
    section(&mut out, "Methods", &tables::methods(totals).html());
    let trade = figure(
        &drawn.latency,
        "Filled marks are on the Pareto front: nothing is both faster and better. Numbers are budgets; \
         along a line, margins below which a query is thought about. Bars are one standard deviation \
         over seeds.",
    );
    section(&mut out, "Quality against latency", &trade);
    let budgets = figure(&drawn.budgets, "Methods tried at several budgets.");
    let budgets = format!("{budgets}{}", tables::latencies(totals).html());
    section(&mut out, "Reasoning length", &budgets);
    let lengths = figure(
        &drawn.lengths,
        "How many tokens the thoughts had at the methods' main budgets.",
    );
    let formats = figure(
        &drawn.formats,
        "How the model's own thoughts ended: with a </think> of the model's, or cut by the budget or another \
         control token.",
    );
    section(&mut out, "Thoughts", &format!("{lengths}{formats}"));
    let learning = drawn.learning.iter();
    let learning: String = learning.map(|(title, svg)| figure(svg, title)).collect();
    section(&mut out, "Learning curves", &learning);
    let compared: String = plots::methods(totals)
        .into_iter()
        .filter(|name| *name != report.baseline)
        .filter_map(|name| {
            let table = tables::side_by_side(report, name)?;
            let name = escape(name);
            Some(format!(
                "<details><summary>{name}</summary>{}</details>\n",
                table.html()
            ))
        })
        .collect();
    section(&mut out, "Query by query", &compared);
    let recipes: String = report
        .recipes
        .iter()
        .map(|(path, text)| {
            let (path, text) = (escape(path), escape(text));
            format!("<details><summary>{path}</summary><pre>{text}</pre></details>\n")
        })
        .collect();
    section(&mut out, "Recipes", &recipes);
    out.push_str("</body></html>\n");
    out
}

/// A headed section; none without content.
fn section(out: &mut String, title: &str, content: &str) {
    if !content.is_empty() {
        let _ = write!(out, "<h2>{}</h2>\n{content}", escape(title));
    }
}

/// A figure; none without a picture.
fn figure(svg: &str, caption: &str) -> String {
    match svg {
        "" => String::new(),
        svg => format!(
            "<figure>{svg}<figcaption>{}</figcaption></figure>\n",
            escape(caption)
        ),
    }
}
