//! Answers numbers with their mean and their standard deviation: `{"numbers": [1, 2, 6]}`.

use serde::{Deserialize, Serialize};
use vectorvisor_guest::{Format, Service};

#[derive(Deserialize)]
struct Question {
    numbers: Vec<f64>,
}

#[derive(Serialize)]
struct Answer {
    mean: f64,
    deviation: f64,
}

fn answer(question: Question) -> Answer {
    let count = question.numbers.len() as f64;
    let mean = question.numbers.iter().sum::<f64>() / count;
    let variance = question.numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
    Answer { mean, deviation: variance.sqrt() }
}

fn main() {
    Service::of(Format::Json, answer).run();
}
