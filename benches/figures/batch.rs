//! Ten runs in one event should take the time of one.

use super::build::Programs;
use super::stage::Stage;
use super::table::{Table, median, ms, ratio};
use super::{Effort, Outcome};
use sandbox::Authority;

const SIZES: [usize; 4] = [1, 2, 5, 10];
const OVER_ONE: f64 = 1.10;

pub async fn sizes(programs: &Programs, authority: &Authority, effort: Effort, table: &mut Table) -> Outcome {
    let mut stage = Stage::new(authority)?;
    let function = stage.function(programs).await?;
    for size in SIZES {
        stage.send(size).await?;
    }
    stage.delay();
    let mut times = SIZES.map(|_| Vec::new());
    for _ in 0..(effort.delayed / 5).max(20) {
        for (size, times) in SIZES.into_iter().zip(&mut times) {
            times.push(stage.send(size).await?);
        }
    }
    function.end().await?;
    let one = median(&times[0]);
    for (size, times) in SIZES.into_iter().zip(&times) {
        let over = ratio(median(times), one);
        let (name, value) =
            (format!("batch of {size}, at the same delays"), format!("{}, ratio {over:.2}", ms(median(times))));
        if size == SIZES[SIZES.len() - 1] {
            table.barred(&name, value, format!("at most {OVER_ONE:.2}"), over <= OVER_ONE);
        } else {
            table.figure(&name, value);
        }
    }
    Ok(())
}
