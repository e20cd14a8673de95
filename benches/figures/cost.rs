//! What Lambda asks for a million runs, from the figures measured.

use std::time::Duration;

use super::table::{Table, ms};

/// Lambda on arm64, US East, per million requests and per gigabyte-second, in dollars.
const REQUESTS: f64 = 0.20;
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;
/// The memory at which a function has one whole CPU, in MB.
const WHOLE_CPU: f64 = 1769.0;

/// `duration` is a run's with delays and a CPU of its own, `cpu` what it worked of that. With less memory, work takes longer.
pub fn of_a_million(duration: Duration, cpu: Duration, table: &mut Table) {
    for memory in [128.0, 256.0] {
        let slower = cpu.mul_f64(WHOLE_CPU / memory) + duration.saturating_sub(cpu);
        let billed = (slower.as_secs_f64() * 1e3).ceil() / 1e3;
        let dollars =
            |runs_an_event: f64| (REQUESTS + billed * memory / 1024.0 * GIGABYTE_SECOND * 1e6) / runs_an_event;
        let value =
            format!("{:.2} dollars ({} each); in batches of five {:.2}", dollars(1.0), ms(slower), dollars(5.0));
        table.figure(&format!("a million runs at {memory:.0} MB, at the same delays"), value);
    }
}
