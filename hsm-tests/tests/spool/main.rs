//! What was accepted is delivered, whatever happens to the process, the power and the disk.

mod audit;
mod disk;
mod killer;
mod kills;
mod load;
mod points;
mod power;
mod room;
mod scene;
mod watched;
mod work;
