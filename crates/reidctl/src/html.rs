//! The frame of a report: one HTML file without external resources.

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// How a page looks. Follows the reader's choice of light or dark.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}th:first-child,td:first-child{text-align:left}\
tr+tr{border-top:1px solid #8886}svg{width:100%;max-width:44rem;height:auto}\
.notice{border:2px solid #d55e00;border-radius:.4rem;padding:.6rem 1rem}\
.row{display:flex;flex-wrap:wrap;gap:.4rem;margin:.6rem 0;align-items:flex-end}\
figure{margin:0;text-align:center;font-size:.75rem}figure img{display:block;height:128px;border:4px solid #8888}\
figure.hit img{border-color:#0072b2}figure.wrong img{border-color:#d55e00;border-style:dashed}";

/// A page.
pub fn page(title: &str, body: &Markup) -> Markup {
    page_with(title, STYLE, &html! { h1 { (title) } (body) })
}

/// A page that looks otherwise.
pub fn page_with(title: &str, style: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    }
}

/// Text as it is written in HTML and SVG.
pub fn escape(text: &str) -> String {
    html! { (text) }.into_string()
}

/// A JPEG as an address that holds it.
pub fn jpeg_address(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg))
}
