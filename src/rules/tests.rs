//! Tables of the three values, units and dates.
