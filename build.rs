//! Tells cargo that the folders compiled into the program may get new files.

fn main() {
    for folder in ["rules", "questionnaires", "migrations"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
