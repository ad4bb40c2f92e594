//! Markdown with tables, footnotes, strikethrough and task lists → HTML.

use pulldown_cmark::{Options, Parser, html};
use std::io::{self, Read};

fn main() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    html::write_html_io(io::stdout().lock(), Parser::new_ext(&text, Options::all()))
}
