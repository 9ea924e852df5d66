//! What was accepted is delivered, whatever happens to the process, the power and the disk.

mod audit;
mod disk;
mod kills;
mod load;
mod power;
mod work;
