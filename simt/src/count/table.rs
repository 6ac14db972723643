//! A record as text for people.

use super::lines::Line;
use super::occupancy::Limiter;
use super::record::{RangeRecord, Record, Traffic, Wavefronts};
use std::fmt::Write;

/// A table of a record, with the lines that execute most.
pub fn table(record: &Record, lines: usize) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, record, lines);
    out
}

/// The lines of a range.
pub fn range(record: &RangeRecord) -> String {
    let (unique, l2) = (&record.unique, &record.l2);
    let seen = if l2.complete { "" } else { ", incomplete" };
    format!(
        "range #{} on {}: {} launches\n  {:<19} {} bytes read, {} written\n  {:<19} {} bytes read, {} written{seen}\n",
        record.range,
        record.chip,
        record.launches.len(),
        "unique",
        grouped(unique.read_bytes),
        grouped(unique.written_bytes),
        "L2 to memory",
        grouped(l2.memory_read_bytes),
        grouped(l2.memory_written_bytes),
    )
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut parts = Vec::new();
    if first > 0 {
        parts.push(&digits[..first]);
    }
    for at in (first..digits.len()).step_by(3) {
        parts.push(&digits[at..at + 3]);
    }
    parts.join(",")
}

fn ratio(actual: u64, ideal: u64) -> String {
    if ideal == 0 {
        return "-".to_owned();
    }
    format!("{:.2}x", actual as f64 / ideal as f64)
}

fn write(out: &mut String, record: &Record, lines: usize) -> std::fmt::Result {
    let extent = |e: [u32; 3]| format!("({}, {}, {})", e[0], e[1], e[2]);
    writeln!(
        out,
        "{} #{}: grid {}, block {}, on {}",
        record.kernel,
        record.launch,
        extent(record.grid),
        extent(record.block),
        record.chip,
    )?;
    if let Some(fault) = &record.fault {
        writeln!(out, "  ended early: {fault}")?;
    }
    let occupancy = &record.occupancy;
    let limiter = match occupancy.limiter {
        Limiter::Blocks => "blocks of a multiprocessor",
        Limiter::Warps => "warps",
        Limiter::Registers => "registers",
        Limiter::SharedMemory => "shared memory",
    };
    writeln!(
        out,
        "  occupancy           {:.0} %: {} blocks, {} warps, limited by {limiter}",
        occupancy.fraction * 100.0,
        occupancy.blocks,
        occupancy.warps,
    )?;
    writeln!(
        out,
        "  resources           {} registers, {} + {} bytes of shared memory, {} bytes of local memory",
        record.registers, record.static_shared, record.dynamic_shared, record.local,
    )?;
    let instructions = &record.instructions;
    writeln!(
        out,
        "  warp instructions   {}, lanes active {:.1} %, at barriers {}",
        grouped(instructions.warp),
        instructions.lane_activity * 100.0,
        grouped(instructions.barriers),
    )?;
    let mut classes: Vec<_> = instructions.by_class.iter().collect();
    classes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for chunk in classes.chunks(4) {
        let cells: Vec<String> = chunk
            .iter()
            .map(|(class, count)| format!("{class} {}", grouped(**count)))
            .collect();
        writeln!(out, "                      {}", cells.join(", "))?;
    }
    let flops = &record.flops;
    for (name, count) in [
        ("f16", flops.f16),
        ("f32", flops.f32),
        ("f64", flops.f64),
        ("tensor", flops.tensor),
        ("tensor integer", flops.tensor_integer),
    ] {
        if count > 0 {
            writeln!(
                out,
                "  {:<19} {}",
                format!("{name} operations"),
                grouped(count)
            )?;
        }
    }
    memory(out, record)?;
    writeln!(out, "  host                {:.3} ms", record.host_ms)?;
    hottest(out, record, lines)
}

fn memory(out: &mut String, record: &Record) -> std::fmt::Result {
    let traffic = |out: &mut String, name: &str, t: &Traffic| {
        if t.requests == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "  {name:<19} {} sectors, {} ideal ({}), {} requests",
            grouped(t.sectors),
            grouped(t.ideal_sectors),
            ratio(t.sectors, t.ideal_sectors),
            grouped(t.requests),
        )
    };
    traffic(out, "global loads", &record.global.loads)?;
    traffic(out, "global stores", &record.global.stores)?;
    traffic(out, "global atomics", &record.global.atomics)?;
    writeln!(
        out,
        "  unique bytes        {} read, {} written",
        grouped(record.unique.read_bytes),
        grouped(record.unique.written_bytes),
    )?;
    let l2 = &record.l2;
    let all = l2.hit_sectors + l2.miss_sectors;
    if all > 0 {
        writeln!(
            out,
            "  L2 model            {:.1} % of {} sectors hit; memory: {} bytes read, {} written{}",
            l2.hit_sectors as f64 / all as f64 * 100.0,
            grouped(all),
            grouped(l2.memory_read_bytes),
            grouped(l2.memory_written_bytes),
            if l2.complete {
                ""
            } else {
                "; not all was seen"
            },
        )?;
    }
    let wavefronts = |out: &mut String, name: &str, w: &Wavefronts| {
        if w.requests == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "  {name:<19} {} wavefronts, {} ideal ({}), {} requests",
            grouped(w.wavefronts),
            grouped(w.ideal_wavefronts),
            ratio(w.wavefronts, w.ideal_wavefronts),
            grouped(w.requests),
        )
    };
    wavefronts(out, "shared loads", &record.shared.loads)?;
    wavefronts(out, "shared stores", &record.shared.stores)?;
    wavefronts(out, "shared atomics", &record.shared.atomics)?;
    if record.shared.wgmma_bytes > 0 {
        let bytes = grouped(record.shared.wgmma_bytes);
        writeln!(out, "  wgmma from shared   {bytes} bytes")?;
    }
    Ok(())
}

/// The lines that execute most: of the source where the text names it, of the PTX text otherwise.
fn hottest(out: &mut String, record: &Record, lines: usize) -> std::fmt::Result {
    let mut named: Vec<(String, &Line)> = if record.source_lines.is_empty() {
        let ptx = record.ptx_lines.iter();
        ptx.map(|l| (format!("PTX line {}", l.line), &l.counts))
            .collect()
    } else {
        let source = record.source_lines.iter();
        source
            .map(|l| (format!("{}:{}", l.file, l.line), &l.counts))
            .collect()
    };
    named.sort_by_key(|(_, line)| std::cmp::Reverse(line.instructions));
    named.truncate(lines);
    if named.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "  {:>14} {:>7} {:>9} {:>9}  line",
        "instructions", "lanes", "sectors", "banks"
    )?;
    for (name, line) in named {
        writeln!(
            out,
            "  {:>14} {:>6.1}% {:>9} {:>9}  {name}",
            grouped(line.instructions),
            line.lane_activity * 100.0,
            ratio(line.global_sectors, line.ideal_sectors),
            ratio(line.wavefronts, line.ideal_wavefronts),
        )?;
    }
    Ok(())
}
