//! A table of sales (CSV with a header) → units, revenue, mean price and latest date for each region and product, as
//! CSV.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::error::Error;
use std::io;

#[derive(Deserialize)]
struct Sale {
    date: String,
    region: String,
    product: String,
    units: u32,
    price: f64,
    discount: Option<f64>,
    #[serde(default)]
    note: String,
}

#[derive(Default, Serialize)]
struct Sum {
    region: String,
    product: String,
    sales: u32,
    units: u64,
    revenue: f64,
    mean_price: f64,
    latest: String,
    noted: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sums: HashMap<(String, String), Sum> = HashMap::new();
    for sale in csv::Reader::from_reader(io::stdin().lock()).deserialize() {
        let sale: Sale = sale?;
        let sum = sums.entry((sale.region, sale.product)).or_default();
        sum.sales += 1;
        sum.units += u64::from(sale.units);
        sum.revenue += f64::from(sale.units) * sale.price * (1.0 - sale.discount.unwrap_or(0.0));
        sum.mean_price += sale.price;
        sum.noted += u32::from(!sale.note.trim().is_empty());
        if sale.date > sum.latest {
            sum.latest = sale.date;
        }
    }
    let mut rows: Vec<Sum> = sums
        .into_iter()
        .map(|((region, product), sum)| Sum {
            region,
            product,
            mean_price: sum.mean_price / f64::from(sum.sales),
            ..sum
        })
        .collect();
    rows.sort_by(|a, b| {
        b.revenue.total_cmp(&a.revenue).then_with(|| (&a.region, &a.product).cmp(&(&b.region, &b.product)))
    });
    let mut writer = csv::Writer::from_writer(io::stdout().lock());
    for row in rows {
        writer.serialize(row)?;
    }
    writer.flush()?;
    Ok(())
}
