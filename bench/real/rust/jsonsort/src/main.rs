//! JSON → the same, with sorted members, without nulls and empty lists, lists of records in the order of their `id`,
//! and beside each list of numbers its sum; indented.

use serde_json::{Map, Value};
use std::error::Error;
use std::io::{self, Read, Write};

fn empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn tidy(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(tidy).filter(|item| !empty(item)).collect();
            items.sort_by_key(|item| item.get("id").and_then(Value::as_u64));
            Value::Array(items)
        }
        Value::Object(members) => {
            let mut tidied = Map::new();
            for (name, member) in members {
                let member = tidy(member);
                if empty(&member) {
                    continue;
                }
                let numbers: Option<Vec<f64>> =
                    member.as_array().and_then(|items| items.iter().map(Value::as_f64).collect());
                if let Some(numbers) = numbers {
                    tidied.insert(format!("{name}_sum"), numbers.iter().sum::<f64>().into());
                }
                tidied.insert(name, member);
            }
            Value::Object(tidied)
        }
        other => other,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    let value = tidy(serde_json::from_str(&text)?);
    let mut out = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, &value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
