//! Which device is computed on.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use super::Error;

/// A kind of device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The processor.
    #[default]
    Cpu,
    /// The first of NVIDIA's GPUs.
    Cuda,
    /// Apple's GPU.
    Metal,
    /// A GPU where there is one, and else the processor.
    Auto,
}

impl Choice {
    /// Opens it.
    ///
    /// # Errors
    /// [`Error::NotBuilt`] if this program was built without it, [`Error::Absent`] if this machine has none.
    pub fn open(self) -> Result<Device, Error> {
        match self {
            Choice::Cpu => Ok(Device::Cpu),
            Choice::Cuda if cfg!(not(feature = "cuda")) => Err(Error::NotBuilt { name: "cuda" }),
            Choice::Cuda => Device::new_cuda(0).map_err(|error| absent("cuda", &error)),
            Choice::Metal if cfg!(not(feature = "metal")) => Err(Error::NotBuilt { name: "metal" }),
            Choice::Metal => Device::new_metal(0).map_err(|error| absent("metal", &error)),
            Choice::Auto => Ok(Choice::Cuda.open().or_else(|_| Choice::Metal.open()).unwrap_or(Device::Cpu)),
        }
    }
}

fn absent(name: &'static str, error: &candle_core::Error) -> Error {
    Error::Absent { name, reason: error.to_string().lines().next().unwrap_or_default().to_owned() }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "cpu" => Ok(Choice::Cpu),
            "cuda" => Ok(Choice::Cuda),
            "metal" => Ok(Choice::Metal),
            "auto" => Ok(Choice::Auto),
            _ => Err(Error::Unknown { found: name.to_owned() }),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Choice::Cpu => "cpu",
            Choice::Cuda => "cuda",
            Choice::Metal => "metal",
            Choice::Auto => "auto",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said() {
        for choice in [Choice::Cpu, Choice::Cuda, Choice::Metal, Choice::Auto] {
            assert_eq!(choice.to_string().parse::<Choice>().unwrap(), choice);
        }
        assert!("gpu".parse::<Choice>().unwrap_err().to_string().contains("cpu, cuda, metal and auto"));
        assert!(Choice::Auto.open().is_ok() && Choice::Cpu.open().unwrap().is_cpu());
        for (choice, is_built) in [(Choice::Cuda, cfg!(feature = "cuda")), (Choice::Metal, cfg!(feature = "metal"))] {
            match choice.open() {
                Ok(device) => assert!(is_built && !device.is_cpu()),
                Err(Error::NotBuilt { name }) => assert!(!is_built && name == choice.to_string()),
                Err(error) => assert!(is_built && error.to_string().contains("no device"), "{error}"),
            }
        }
    }
}
