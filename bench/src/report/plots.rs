//! Plots in SVG, for pages that need nothing else.

use super::{escaped, short};
use std::fmt::Write as _;

/// Colours that differ.
pub const COLOURS: [&str; 12] = [
    "#2f7d4f", "#3b5b92", "#d9a441", "#b5651d", "#8a8f98", "#a23b72", "#17a2a2", "#6a4c93", "#c44536", "#6b8e23",
    "#1f4e5f", "#e07a9b",
];
const LEFT: f64 = 190.0;
const WIDTH: f64 = 520.0;

/// A part of a bar: its name, its colour and how much it is.
pub type Part<'a> = (&'a str, &'a str, f64);

/// The names of colours.
pub fn key<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let one = |(name, colour): (&str, &str)| format!("<span style='color:{colour}'>&#9632;</span> {} ", escaped(name));
    format!("<p>{}</p>\n", names.map(one).collect::<String>())
}

/// For each program a group of bars, each a stack of parts with its sum beside, all as parts of the longest of the
/// group.
pub fn bars(heading: &str, groups: &[(&str, Vec<Vec<Part<'_>>>)]) -> String {
    let (mut svg, mut y) = (String::new(), 4.0);
    let sum = |bar: &Vec<Part<'_>>| bar.iter().map(|part| part.2).sum::<f64>();
    for (program, group) in groups {
        let longest = group.iter().map(sum).fold(0.0, f64::max);
        if longest <= 0.0 {
            continue;
        }
        // Writing to a string does not fail.
        _ = writeln!(svg, "<text x='{}' y='{}' text-anchor='end'>{program}</text>", LEFT - 8.0, y + 12.0);
        for bar in group {
            let mut x = LEFT;
            for (name, colour, value) in bar {
                let long = (value / longest * WIDTH).max(1.0);
                let said = short(Some(*value));
                _ = writeln!(
                    svg,
                    "<rect x='{x:.1}' y='{y}' width='{long:.1}' height='12' fill='{colour}'><title>{name}: {said}</title></rect>",
                );
                x += long;
            }
            let said = short(Some(sum(bar)));
            _ = writeln!(svg, "<text x='{:.1}' y='{}' class='value'>{said}</text>", x + 5.0, y + 10.0);
            y += 15.0;
        }
        y += 10.0;
    }
    if svg.is_empty() {
        return String::new();
    }
    format!("<h2>{}</h2>\n<svg width='800' height='{y}'>\n{svg}</svg>\n", escaped(heading))
}

/// A line for each program, of values above 0 on a logarithmic scale, over places with names.
pub fn lines(heading: &str, places: &[String], all: &[(&str, Vec<Option<f64>>)]) -> String {
    let all: Vec<_> = all.iter().filter(|(_, values)| values.iter().flatten().any(|value| *value > 0.0)).collect();
    let values = || all.iter().flat_map(|(_, values)| values.iter().flatten().copied()).filter(|value| *value > 0.0);
    if all.is_empty() {
        return String::new();
    }
    let (low, high) = (values().fold(f64::MAX, f64::min).log10().floor(), values().fold(0.0, f64::max).log10().ceil());
    let (top, height) = (8.0, 300.0);
    let y = |value: f64| top + height - (value.log10() - low) / (high - low).max(1.0) * height;
    let x = |place: usize| 80.0 + (place as f64 + 0.5) / places.len() as f64 * 620.0;
    let mut svg = String::new();
    for power in low as i32..=high as i32 {
        let at = y(10_f64.powi(power));
        _ = writeln!(
            svg,
            "<path d='M80 {at:.1}H700' class='grid'/><text x='74' y='{:.1}' text-anchor='end' class='value'>{}</text>",
            at + 3.0,
            10_f64.powi(power),
        );
    }
    for (place, name) in places.iter().enumerate() {
        let (at, name) = (x(place), escaped(name));
        _ = writeln!(
            svg,
            "<text x='{at:.1}' y='{}' text-anchor='middle' class='value'>{name}</text>",
            top + height + 16.0
        );
    }
    let mut names = Vec::new();
    for ((program, values), colour) in all.into_iter().zip(COLOURS.iter().cycle()) {
        names.push((*program, *colour));
        let points = || {
            values.iter().enumerate().filter_map(|(place, value)| value.filter(|it| *it > 0.0).map(|it| (place, it)))
        };
        let path: Vec<String> = points().map(|(place, value)| format!("{:.1},{:.1}", x(place), y(value))).collect();
        _ = writeln!(svg, "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='1.5'/>", path.join(" "));
        for (place, value) in points() {
            _ = writeln!(
                svg,
                "<circle cx='{:.1}' cy='{:.1}' r='3' fill='{colour}'><title>{program}, {}: {}</title></circle>",
                x(place),
                y(value),
                escaped(&places[place]),
                short(Some(value)),
            );
        }
    }
    format!(
        "<h2>{}</h2>\n{}<svg width='800' height='{}'>\n{svg}</svg>\n",
        escaped(heading),
        key(names.into_iter()),
        top + height + 24.0,
    )
}
