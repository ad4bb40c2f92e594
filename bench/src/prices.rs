//! What an hour of devices costs, by `bench/prices.json`.

use serde_json::Value;
use vectorvisor::BackendSpec;

/// Dollars for an hour of all these devices, each counted once. The processor costs by its cores, and nothing more where
/// it is beside a GPU, whose price has its part of the machine. None if a price is missing.
fn per_hour(prices: &Value, devices: &[BackendSpec], cores: f64) -> Option<f64> {
    let price = |name: &str| prices[name]["usd_per_hour"].as_f64();
    let mut gpus: Vec<&BackendSpec> = Vec::new();
    for device in devices.iter().filter(|device| device.name != "cpu") {
        if !gpus.contains(&device) {
            gpus.push(device);
        }
    }
    match (gpus.as_slice(), devices) {
        ([], []) => None,
        ([], _) => Some(price("cpu")? * cores / prices["cpu"]["cores"].as_f64()?),
        (gpus, _) => gpus.iter().map(|device| price(&device.name)).sum(),
    }
}

/// Requests per dollar at a rate on these devices, or else on the processor, of a machine with so many cores.
pub fn per_dollar(prices: &Value, devices: Option<&[BackendSpec]>, cores: f64, per_second: f64) -> Option<f64> {
    let cpu = [BackendSpec { name: "cpu".into(), index: Some(0) }];
    Some(per_second * 3600.0 / per_hour(prices, devices.unwrap_or(&cpu), cores)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_those_of_the_devices() {
        let prices: Value = serde_json::from_str(include_str!("../prices.json")).expect("JSON");
        for (name, price) in prices.as_object().expect("prices by name") {
            let said = |member: &str| price[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(said("machine") && said("source") && said("date"), "{name}: {price}");
        }
        let of = |list: &[&str]| {
            per_hour(&prices, &list.iter().map(|name| name.parse().expect("a device")).collect::<Vec<_>>(), 16.0)
        };
        let (cuda, cpu) = (of(&["cuda:0"]).expect("a price"), of(&["cpu:0"]).expect("a price"));
        assert!(cuda > cpu && cpu > 0.0);
        assert_eq!(of(&["cuda:0", "cuda:1", "cuda:0"]), Some(2.0 * cuda));
        assert_eq!(of(&["cuda:0", "cpu:0"]), Some(cuda));
        assert_eq!((of(&["hip:0", "cuda:0"]), of(&[])), (None, None));
        // Half of the cores cost half as much.
        assert_eq!(per_dollar(&prices, None, 8.0, 1.0), Some(3600.0 / (cpu / 2.0)));
    }
}
