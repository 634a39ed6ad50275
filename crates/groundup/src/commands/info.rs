//! `groundup info`

use super::Failure;
use crate::threads::cores;
use tensor::Exec;
use tensor::gemm::tile_names;
use tensor::isa::{AnyIsa, VARIABLE};
use tensor::limits::{Level, Limits};
use tensor::machine::Caches;
use tensor::machine::caches::VARIABLE as CACHES_VARIABLE;
use tensor::probe;

/// Says what this machine can do.
pub fn run() -> Result<(), Failure> {
    let exec = Exec::new(1)?;
    let available: Vec<&str> = AnyIsa::available().map(AnyIsa::name).collect();
    say!("ISA        {} (available: {}; {VARIABLE} forces one)", exec.isa().name(), available.join(", "))?;
    say!("tiles      {}", tile_names(exec.isa()).join(", "))?;
    say!("threads    {}", cores())?;
    let sizes = exec.caches().levels().map(|(level, bytes)| format!("{level} {} KiB", bytes >> 10));
    let forced = if exec.caches() == Caches::of_this_machine() { "" } else { ", not this machine's own" };
    say!("caches     {} ({CACHES_VARIABLE} sets them{forced})", sizes.collect::<Vec<_>>().join(", "))?;
    let limits = Limits::measure(exec);
    for isa in AnyIsa::available() {
        let peak = if isa.name() == exec.isa().name() { limits.peak } else { probe::fma_peak(Exec::with_isa(isa, 1)) };
        say!("peak       {:7.1} GFLOP/s f32, one thread, {}", peak / 1e9, isa.name())?;
    }
    for Level { name, bandwidth, .. } in limits.levels {
        say!("bandwidth  {:7.1} GB/s {name}, one thread, copy (read + write)", bandwidth / 1e9)?;
    }
    Ok(())
}
