//! Bill-PDF: bills as PDF files, each with a table of items and the sender's logo.

use image::{ImageFormat, RgbImage, load_from_memory_with_format};
use miniz_oxide::deflate::compress_to_vec_zlib;
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use vectorvisor_guest::{Format, Service};

/// Four bills of 25 items in the evaluation.
#[derive(Deserialize, Serialize)]
pub struct Bills {
    /// A PNG.
    pub logo: ByteBuf,
    pub bills: Vec<Bill>,
}

#[derive(Deserialize, Serialize)]
pub struct Bill {
    pub number: u32,
    pub date: String,
    pub customer: String,
    pub address: Vec<String>,
    pub items: Vec<Item>,
}

#[derive(Deserialize, Serialize)]
pub struct Item {
    pub name: String,
    pub quantity: u32,
    /// Of one, in cents.
    pub price: u32,
}

#[derive(Deserialize, Serialize)]
pub struct Pdfs {
    pub pdfs: Vec<ByteBuf>,
}

pub fn pdf() -> Service {
    Service::of(Format::MsgPack, |request: Bills| {
        let logo = load_from_memory_with_format(&request.logo, ImageFormat::Png).map_or_else(
            |_| RgbImage::new(1, 1), // a black dot
            |image| image.to_rgb8(),
        );
        let level = 6;
        let samples = compress_to_vec_zlib(logo.as_raw(), level);
        let size = logo.dimensions();
        let pdfs = request.bills.iter().map(|bill| ByteBuf::from(document(bill, size, &samples))).collect();
        Pdfs { pdfs }
    })
}

const FONT: Name = Name(b"F1");
const BOLD: Name = Name(b"F2");
const LOGO: Name = Name(b"Im1");
/// Where columns begin: items, quantities, prices, sums.
const COLUMNS: [f32; 4] = [60.0, 330.0, 400.0, 480.0];

fn cents(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn document(bill: &Bill, (width, height): (u32, u32), samples: &[u8]) -> Vec<u8> {
    let [catalog, pages, page_id, font, bold, logo, text] = [1, 2, 3, 4, 5, 6, 7].map(Ref::new);
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids([page_id]).count(1);
    let mut page = pdf.page(page_id);
    page.media_box(Rect::new(0.0, 0.0, 595.0, 842.0)).parent(pages).contents(text);
    let mut resources = page.resources();
    resources.fonts().pair(FONT, font).pair(BOLD, bold);
    resources.x_objects().pair(LOGO, logo);
    resources.finish();
    page.finish();
    pdf.type1_font(font).base_font(Name(b"Helvetica"));
    pdf.type1_font(bold).base_font(Name(b"Helvetica-Bold"));

    let mut image = pdf.image_xobject(logo, samples);
    image.filter(Filter::FlateDecode);
    image.width(width as i32).height(height as i32).bits_per_component(8);
    image.color_space().device_rgb();
    image.finish();

    let content = compress_to_vec_zlib(&page_content(bill), 6);
    pdf.stream(text, &content).filter(Filter::FlateDecode);
    pdf.finish()
}

fn page_content(bill: &Bill) -> Vec<u8> {
    let mut content = Content::new();
    content.save_state().transform([64.0, 0.0, 0.0, 64.0, 470.0, 740.0]).x_object(LOGO).restore_state();
    let mut write = |font: Name, size: f32, x: f32, y: f32, text: &str| {
        content.begin_text().set_font(font, size).next_line(x, y).show(Str(text.as_bytes())).end_text();
    };
    write(BOLD, 20.0, 60.0, 770.0, &format!("Bill {}", bill.number));
    write(FONT, 11.0, 60.0, 750.0, &bill.date);
    write(FONT, 11.0, 60.0, 720.0, &bill.customer);
    let mut y = 720.0;
    for line in &bill.address {
        y -= 14.0;
        write(FONT, 11.0, 60.0, y, line);
    }
    y = 640.0;
    for (x, heading) in COLUMNS.into_iter().zip(["Item", "Quantity", "Price", "Sum"]) {
        write(BOLD, 11.0, x, y, heading);
    }
    let mut total = 0;
    for (number, item) in (1..).zip(&bill.items) {
        y -= 18.0;
        let sum = u64::from(item.quantity) * u64::from(item.price);
        total += sum;
        let cells =
            [format!("{number}. {}", item.name), item.quantity.to_string(), cents(item.price.into()), cents(sum)];
        for (x, cell) in COLUMNS.into_iter().zip(cells) {
            write(FONT, 11.0, x, y, &cell);
        }
    }
    y -= 26.0;
    write(BOLD, 12.0, COLUMNS[2], y, "Total");
    write(BOLD, 12.0, COLUMNS[3], y, &cents(total));
    content.set_line_width(0.5).move_to(60.0, 634.0).line_to(535.0, 634.0).stroke();
    content.finish().into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_becomes_a_document() {
        let items = (1..=25).map(|n| Item { name: format!("thing {n}"), quantity: n, price: 199 }).collect();
        let bill = Bill { number: 7, date: "1 May".into(), customer: "Ann".into(), address: vec![], items };
        let content = String::from_utf8(page_content(&bill)).expect("text");
        assert!(content.contains("(25. thing 25)") && content.contains("(646.75)"), "{content}");
        assert!(document(&bill, (1, 1), &[]).starts_with(b"%PDF-"));
    }
}
