//! A page as a browser shows it.

use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// Put at a page's end: says what is to be seen, in place of the page.
const PROBE: &str = r#"<script>
const all = (of, what) => [...of.querySelectorAll(what)];
const box = e => e.getBoundingClientRect();
const seen = e => box(e).width > 0 && box(e).height > 0;
const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
const text = e => e ? e.textContent : "";
const look = () => {
    all(document, "details").forEach(d => d.open = true);
    const plots = all(document, "svg").filter(seen);
    const named = all(document, "[src], link[href]").map(e => e.src || e.href);
    return {
        tables: all(document, "table").filter(t => all(t, "tbody td").some(seen)).map(t => text(t.caption)),
        plots: plots.filter(p => all(p, "polyline, path, rect, circle").some(seen))
            .map(p => text(p.querySelector("title"))),
        cut: plots.flatMap(p => all(p, "text").filter(t => !within(box(t), box(p))).map(text)),
        loaded: named.filter(address => !address.startsWith("data:"))
            .concat(performance.getEntriesByType("resource").map(e => e.name)),
    };
};
addEventListener("load", () => {
    const json = JSON.stringify(look()).replace(/[<>&]/g, c => "\\u00" + c.charCodeAt(0).toString(16));
    document.documentElement.innerHTML = "";
    document.body.append("SHOWN" + json + "SHOWN");
});
</script>"#;

/// What a headless Chromium makes of a page.
#[derive(Debug, Default, Deserialize)]
pub struct Shown {
    /// Captions of the tables with a row to be seen.
    pub tables: Vec<String>,
    /// Titles of the plots with something drawn.
    pub plots: Vec<String>,
    /// Texts of plots that reach beyond the plot.
    pub cut: Vec<String>,
    /// What was loaded beside the page, or should have been.
    pub loaded: Vec<String>,
    /// What the page said on the console.
    #[serde(default)]
    pub console: Vec<String>,
}

/// Opens `page`; none, with a line that says so, where no Chromium is installed.
pub fn open(page: &Path) -> Option<Shown> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("page.html");
    let text = std::fs::read_to_string(page).unwrap();
    std::fs::write(&copy, text + PROBE).unwrap();
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let output = browsers.iter().find_map(|browser| {
        let mut command = Command::new(browser);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
        command.args([
            "--disable-dev-shm-usage",
            "--enable-logging=stderr",
            "--log-level=0",
        ]);
        command.arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ));
        command.arg(&copy).output().ok()
    });
    let Some(output) = output else {
        println!(
            "no Chromium is installed: {} was not opened",
            page.display()
        );
        return None;
    };
    assert!(output.status.success());
    let (document, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let shown = document.split("SHOWN").nth(1);
    let shown = shown.map(|json| serde_json::from_str(json).unwrap());
    let console = log.lines().filter(|line| line.contains("CONSOLE"));
    Some(Shown {
        console: console.map(String::from).collect(),
        ..shown.unwrap_or_else(|| panic!("the page cannot be looked at: {log}"))
    })
}

impl Shown {
    /// Asserts that the page is whole: it shows tables with captions that begin so, and exactly the plots
    /// `plots`, cuts no text, loads nothing and says nothing on the console.
    #[track_caller]
    pub fn is_whole(&self, tables: &[&str], plots: &[&str]) {
        assert_eq!(self.tables.len(), tables.len(), "{:?}", self.tables);
        for (shown, expected) in self.tables.iter().zip(tables) {
            assert!(shown.starts_with(expected), "{shown}: not {expected}");
        }
        assert_eq!(self.plots, plots);
        let nothing: [&Vec<String>; 3] = [&self.cut, &self.loaded, &self.console];
        assert!(nothing.iter().all(|list| list.is_empty()), "{nothing:?}");
    }
}

/// That a page without a fault is found to have none says little unless faults are seen.
#[test]
fn faults_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let table = "<table><caption>T</caption><tbody><tr><td>1</td></tr></tbody></table>";
    let plot = |text: &str| {
        format!(
            "<svg viewBox=\"0 0 100 100\" width=\"100\"><title>P</title><path d=\"M10 10H90V90Z\"/>\
             <text x=\"50\" y=\"50\">{text}</text></svg>"
        )
    };
    let show = |body: &str| {
        let icon = "<link rel=\"icon\" href=\"data:,\">";
        std::fs::write(&page, format!("<!DOCTYPE html>{icon}{body}")).unwrap();
        open(&page)
    };
    let whole = format!("{table}{}", plot("a &amp; b"));
    let Some(shown) = show(&whole) else { return };
    shown.is_whole(&["T"], &["P"]);
    // A closed part can be opened; a hidden one is not there.
    show(&format!("<details>{whole}</details>"))
        .unwrap()
        .is_whole(&["T"], &["P"]);
    show(&format!("<div hidden>{whole}</div>"))
        .unwrap()
        .is_whole(&[], &[]);
    show("<table><caption>T</caption></table>")
        .unwrap()
        .is_whole(&[], &[]);

    let long = show(&plot("much too long a text")).unwrap();
    assert_eq!(long.cut, ["much too long a text"]);
    let image = show("<img src=\"absent.png\">").unwrap();
    assert!(image.loaded[0].ends_with("/absent.png"), "{image:?}");
    for script in ["console.error('lost')", "absent()"] {
        let shown = show(&format!("<script>{script}</script>")).unwrap();
        assert_eq!(shown.console.len(), 1, "{script}: {:?}", shown.console);
    }
}
