//! Pictures of tasks: a row of cells as text, charts as SVG, and the page that holds them.
//!
//! Names of tasks, layers and files are other people's text: it reaches a picture by [`text::shortened`] or
//! [`text::escaped`] only.

mod canvas;
mod cells;
mod columns;
mod curves;
mod heat_map;
mod marks;
mod page;
mod palette;
mod scatter;
mod strip;
mod table;
mod text;

pub(super) use cells::cells;
pub(super) use curves::curves;
pub(super) use heat_map::{HeatMap, Row};
pub(super) use page::Page;
pub(super) use scatter::scatter;
pub(super) use strip::Strip;
pub(super) use table::table;
