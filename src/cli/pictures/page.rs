//! A page that holds everything it shows: no scripts, nothing fetched.

use super::canvas::FONTS;
use super::text::escaped;

/// What a browser may run or fetch for the page, were there something to: nothing.
const POLICY: &str = "script-src 'none'; object-src 'none'; img-src 'none'; media-src 'none'; font-src 'none'; \
                      connect-src 'none'; frame-src 'none'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "
:root { color-scheme: light; }
body { margin: 0; background: #f4f5f7; color: #1f2430; line-height: 1.5; font-size: 15px; }
main { max-width: 1300px; margin: 0 auto; padding: 36px 24px 48px; }
h1 { font-size: 28px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 14px; margin: 0 0 2px; overflow-wrap: anywhere; }
p { margin: 0 0 14px; max-width: 90ch; color: #5c6370; }
header p { font-size: 16px; overflow-wrap: anywhere; }
section { background: #fff; border: 1px solid #e1e3e8; border-radius: 10px; padding: 22px 26px 24px; margin: 0 0 22px; }
section.problems { background: #fff7e8; border-color: #ecc97a; }
section.problems li { overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
.wide svg { max-width: none; }
.half svg { width: 980px; }
.runs { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 24px 28px; }
.runs svg { width: 400px; }
.key span { display: inline-block; width: 26px; height: 0; margin: 0 6px 4px 18px; border-top: 3px solid; vertical-align: middle; }
.key span:first-child { margin-left: 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: #5c6370; font-weight: 600; border-bottom: 2px solid #e1e3e8; }
th, td { padding: 6px 12px 6px 0; vertical-align: top; white-space: nowrap; }
td { border-bottom: 1px solid #eceef1; }
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 6em; max-width: 18em; }
td.name:nth-child(4) { min-width: 15em; }
th.number, td.number { text-align: right; }
";

/// A page that is being written.
pub(in crate::cli) struct Page {
    body: String,
    title: String,
}

impl Page {
    pub(in crate::cli) fn new(title: &str, note: &str) -> Self {
        let body = format!("<header><h1>{}</h1><p>{}</p></header>\n", escaped(title), escaped(note));
        Self { body, title: title.to_owned() }
    }

    /// A part with its heading and a sentence on how to read it. `class` and `html` are as they are.
    pub(in crate::cli) fn section(&mut self, class: &str, heading: &str, note: &str, html: &str) {
        let (heading, note) = (escaped(heading), escaped(note));
        let section = format!("<section class=\"{class}\"><h2>{heading}</h2><p>{note}</p>\n{html}\n</section>\n");
        self.body.push_str(&section);
    }

    /// A list of what went wrong.
    pub(in crate::cli) fn problems(&mut self, problems: &[String]) {
        let items: String = problems.iter().map(|problem| format!("<li>{}</li>", escaped(problem))).collect();
        let note = "The page shows the others.";
        self.section("problems", "Files left out", note, &format!("<ul>{items}</ul>"));
    }

    /// The loss charts, each under its run's name.
    pub(in crate::cli) fn curves(&mut self, note: &str, charts: &[(String, String)]) {
        let key = "<p class=\"key\"><span style=\"color:#0072b2;opacity:.35\"></span>training, each step\
                   <span style=\"color:#0072b2\"></span>training, smoothed\
                   <span style=\"color:#d55e00\"></span>validation, each epoch</p>";
        let each = |(name, svg): &(String, String)| {
            format!("<figure class=\"run\"><h3>{}</h3>{svg}</figure>\n", escaped(name))
        };
        let charts: String = charts.iter().map(each).collect();
        self.section("curves", "Loss", note, &format!("{key}<div class=\"runs\">{charts}</div>"));
    }

    /// The whole page, which is well-formed XML too.
    pub(in crate::cli) fn html(&self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width\"/>\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
             <title>{}</title>\n<style>{STYLE}body, table {{ font-family: {FONTS}; }}\nfigure {{ margin: 0; }}\n</style></head>\n\
             <body><main>\n{}</main></body></html>\n",
            escaped(&self.title),
            self.body
        )
    }
}
