//! Where a file is written: checked before the work whose result it takes, and replaced whole.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Error;

/// Links that are followed one after another, as many as Linux follows.
const LINKS: usize = 40;

/// Bytes of a file's name: most systems take 255, and what lies beside a file has a longer name than it, as its lock.
const LONGEST: usize = 240;

/// A place for a file, at which one can be written.
#[derive(Clone, Debug)]
pub struct Output {
    /// As the caller named it.
    path: PathBuf,
    /// The file that is replaced or made: where symbolic links end.
    target: PathBuf,
}

impl Output {
    /// A place that has passed every check that can be made beforehand: it is a new name or a regular file, in a folder that
    /// is there and can be written to. Symbolic links are followed.
    ///
    /// # Errors
    /// [`Error::NoFile`] for a folder, a device, a pipe or a socket; [`Error::LongName`]; [`Error::NoFolder`];
    /// [`Error::Unwritable`]; and what the system says of the path.
    pub fn at(path: &Path) -> Result<Self, Error> {
        let no_file = |found| Error::NoFile { path: path.to_owned(), found };
        let names_folder = path
            .as_os_str()
            .as_encoded_bytes()
            .last()
            .is_some_and(|&last| last == b'/' || last == b'\\' && cfg!(windows));
        if names_folder || path.file_name().is_none() {
            return Err(no_file("the name of a folder"));
        }
        let length = path.file_name().map_or(0, |name| name.as_encoded_bytes().len());
        if length > LONGEST {
            return Err(Error::LongName { path: path.to_owned(), found: length, most: LONGEST });
        }
        let target = follow(path)?;
        // What /dev/stdout and the like lead to: replaced by rename it would no longer be this process's.
        if path != target && (target.starts_with("/proc") || path.starts_with("/proc") || is_stream(path)) {
            return Err(no_file("a stream of a process"));
        }
        match std::fs::metadata(&target) {
            Ok(found) => {
                if let Some(found) = kind(&found) {
                    return Err(no_file(found));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        }
        let output = Self { path: path.to_owned(), target };
        let folder = output.folder();
        if !folder.is_dir() {
            return Err(Error::NoFolder { path: path.to_owned(), folder: folder.to_owned() });
        }
        output.temporary().map_err(|source| Error::Unwritable { path: path.to_owned(), source })?;
        Ok(output)
    }

    /// The same, unless it is one of the inputs, each with what it is: then what is written would be lost, or what is read.
    /// Of a folder every file is an input that can be reached from it, by links too.
    ///
    /// # Errors
    /// [`Error::IsInput`].
    pub fn apart_from<'a>(self, inputs: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Result<Self, Error> {
        let own = identity(&self.target);
        for (input, role) in inputs {
            let within = || self.target.exists() && own.as_ref().is_some_and(|own| reaches(input, own));
            if own.is_some() && (own == identity(input) || within()) {
                return Err(Error::IsInput { path: self.path, role: role.to_owned() });
            }
        }
        Ok(self)
    }

    /// As the caller named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file by one with this content. Permissions, and the owner where that is allowed, are those of the file
    /// that is replaced.
    ///
    /// # Errors
    /// If it cannot be written; then the earlier file is as it was.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        self.write_by(|file| file.write_all(bytes))
    }

    /// As [`Output::write`], with what `write` puts into the file.
    ///
    /// # Errors
    /// As [`Output::write`], and if `write` fails.
    pub fn write_by(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), Error> {
        self.replace(|temporary| write(temporary.as_file_mut()))
    }

    /// As [`Output::write`], with the file that `make` makes at the path it is given, where an empty one is.
    ///
    /// # Errors
    /// As [`Output::write`], and if `make` fails.
    pub fn make_by(&self, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Error> {
        self.replace(|temporary| make(temporary.path()))
    }

    fn replace(&self, fill: impl FnOnce(&mut NamedTempFile) -> io::Result<()>) -> Result<(), Error> {
        let replaced = || -> io::Result<()> {
            let mut temporary = self.temporary()?;
            fill(&mut temporary)?;
            if let Ok(earlier) = std::fs::metadata(&self.target) {
                keep_access(&temporary, &earlier)?;
            }
            // Another handle than the one that was written by: that of `make` is closed.
            File::options().write(true).open(temporary.path())?.sync_all()?;
            temporary.persist(&self.target).map_err(|error| error.error)?;
            sync_folder(self.folder())
        };
        replaced().map_err(|source| Error::Io { path: self.path.clone(), source })
    }

    /// A new file beside the target, by a name that no other process has; it is removed when it is dropped.
    fn temporary(&self) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".taps-").suffix(".tmp");
        // Without the umask's say a new file would be its owner's alone; one that replaces another gets the access of that.
        #[cfg(unix)]
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        #[cfg(unix)]
        if !self.target.exists() {
            builder.permissions(permissions);
        }
        builder.tempfile_in(self.folder())
    }

    fn folder(&self) -> &Path {
        parent(&self.target)
    }
}

/// Replaces the file at `path` by one with this content: [`Output::at`] and [`Output::write`].
///
/// # Errors
/// As those.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Output::at(path)?.write(bytes)
}

fn is_stream(path: &Path) -> bool {
    path.starts_with("/dev/fd")
        || ["/dev/stdin", "/dev/stdout", "/dev/stderr"].iter().any(|stream| path == Path::new(stream))
}

/// The folder that a path is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where the symbolic links that begin at `path` end; that need not exist.
fn follow(path: &Path) -> Result<PathBuf, Error> {
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::symlink_metadata(&target) {
            Ok(found) if found.is_symlink() => {
                let next = std::fs::read_link(&target).map_err(Error::io(path))?;
                target = parent(&target).join(next);
            }
            Ok(_) => return Ok(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            Err(source) => return Err(Error::Io { path: path.to_owned(), source }),
        }
    }
    Err(Error::NoFile { path: path.to_owned(), found: "a symbolic link that leads back to itself" })
}

/// What is there, where it is no regular file.
fn kind(found: &Metadata) -> Option<&'static str> {
    if found.is_file() {
        return None;
    }
    if found.is_dir() {
        return Some("a folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = found.file_type();
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    Some("a device")
}

/// What tells one file from all others: by whatever name it is called where it exists, else its folder and name.
#[derive(PartialEq, Eq)]
enum Identity {
    #[cfg(unix)]
    Inode(u64, u64),
    #[cfg(not(unix))]
    There(PathBuf),
    New(PathBuf, OsString),
}

fn identity(path: &Path) -> Option<Identity> {
    #[cfg(unix)]
    if let Ok(found) = std::fs::metadata(path) {
        use std::os::unix::fs::MetadataExt;
        return Some(Identity::Inode(found.dev(), found.ino()));
    }
    #[cfg(not(unix))]
    if let Ok(found) = path.canonicalize() {
        return Some(Identity::There(found));
    }
    let target = follow(path).ok()?;
    Some(Identity::New(parent(&target).canonicalize().ok()?, target.file_name()?.to_owned()))
}

/// Whether a file is among those that a folder leads to, through folders in it and links. What cannot be read leads to
/// nothing.
fn reaches(folder: &Path, file: &Identity) -> bool {
    let (mut seen, mut left) = (HashSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = left.pop() {
        // A link may lead back.
        if !folder.canonicalize().is_ok_and(|folder| seen.insert(folder)) {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                left.push(path);
            } else if identity(&path).as_ref() == Some(file) {
                return true;
            }
        }
    }
    false
}

/// Gives a file the permissions of another and, where this process may do so, its owner.
fn keep_access(file: &NamedTempFile, earlier: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let own = file.as_file().metadata()?;
        if (own.uid(), own.gid()) != (earlier.uid(), earlier.gid()) {
            // Only a privileged process may; before the permissions, since it can take some of them away.
            let _ = std::os::unix::fs::fchown(file.as_file(), Some(earlier.uid()), Some(earlier.gid()));
        }
    }
    file.as_file().set_permissions(earlier.permissions())
}

/// Makes a rename last through a loss of power. A folder that cannot be opened, or whose file system has no such thing, is
/// left alone.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let output = Output::at(&path).unwrap();
        assert_eq!(entries(folder.path()), 0, "a check leaves nothing");
        output.write(b"1").unwrap();
        output.make_by(|path| std::fs::write(path, "22")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"22");
        let failed = output.write_by(|file| {
            file.write_all(b"333")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.unwrap_err().to_string().starts_with(&path.display().to_string()));
        assert_eq!((std::fs::read(&path).unwrap(), entries(folder.path())), (b"22".to_vec(), 1));
    }

    #[test]
    fn what_is_no_place_for_a_file_is_refused_beforehand() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &Path| Output::at(path).unwrap_err();
        assert!(matches!(at(folder.path()), Error::NoFile { found: "a folder", .. }));
        let slash = PathBuf::from(format!("{}/new/", folder.path().display()));
        assert!(matches!(at(&slash), Error::NoFile { .. }));
        assert!(matches!(at(Path::new("..")), Error::NoFile { .. }));
        assert!(matches!(at(&folder.path().join("no/x")), Error::NoFolder { .. }));
        assert!(matches!(at(&folder.path().join("n".repeat(LONGEST + 1))), Error::LongName { .. }));
        Output::at(&folder.path().join("n".repeat(LONGEST))).unwrap().write(b"1").unwrap();
        std::fs::write(folder.path().join("f"), "").unwrap();
        assert!(matches!(at(&folder.path().join("f/x")), Error::Io { .. } | Error::NoFolder { .. }));
    }

    #[test]
    #[cfg(unix)]
    fn devices_are_never_replaced_and_links_are_followed() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        assert!(matches!(Output::at(Path::new("/dev/null")).unwrap_err(), Error::NoFile { found: "a device", .. }));
        let _socket = UnixListener::bind(inside("socket")).unwrap();
        assert!(matches!(Output::at(&inside("socket")).unwrap_err(), Error::NoFile { found: "a socket", .. }));
        symlink("/dev/null", inside("null")).unwrap();
        assert!(matches!(Output::at(&inside("null")).unwrap_err(), Error::NoFile { found: "a device", .. }));
        symlink("loop", inside("loop")).unwrap();
        assert!(matches!(Output::at(&inside("loop")).unwrap_err(), Error::NoFile { .. } | Error::Io { .. }));

        std::fs::create_dir(inside("other")).unwrap();
        symlink("other/real", inside("link")).unwrap();
        symlink("link", inside("second")).unwrap();
        for content in ["1", "2"] {
            write_atomically(&inside("second"), content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(inside("other/real")).unwrap(), content);
            assert!(inside("link").is_symlink() && inside("second").is_symlink());
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_replaced_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write_atomically(&path, b"1").unwrap();
        // What the umask leaves of 0o666, as of any new file.
        std::fs::write(folder.path().join("y"), "").unwrap();
        assert_eq!(mode(), std::fs::metadata(folder.path().join("y")).unwrap().permissions().mode() & 0o777);
        for wanted in [0o600, 0o640, 0o755] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(wanted)).unwrap();
            write_atomically(&path, b"2").unwrap();
            assert_eq!(mode(), wanted);
        }
    }

    #[test]
    fn an_input_is_never_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        std::fs::create_dir(inside("images")).unwrap();
        std::fs::write(inside("data.csv"), "").unwrap();
        std::fs::write(inside("images/a.png"), "").unwrap();
        std::fs::hard_link(inside("data.csv"), inside("same.csv")).unwrap();
        let (data, images, later) = (inside("data.csv"), inside("images"), inside("later"));
        let inputs = || [(&*data, "the data"), (&*images, "an image"), (&*later, "the checkpoint")];
        let at = |name: &str| Output::at(&inside(name)).unwrap().apart_from(inputs());
        for name in ["data.csv", "same.csv", "images/../data.csv", "images/a.png", "later", "images/../later"] {
            assert!(matches!(at(name), Err(Error::IsInput { .. })), "{name}");
        }
        for name in ["new", "images/new.taps"] {
            assert!(at(name).is_ok(), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("data.csv", inside("link")).unwrap();
            std::os::unix::fs::symlink("later", inside("link to later")).unwrap();
            // A folder of links, two of which lead back.
            std::fs::write(inside("far.png"), "").unwrap();
            for (to, name) in [("../far.png", "far.png"), ("..", "up"), (".", "here")] {
                std::os::unix::fs::symlink(to, inside("images").join(name)).unwrap();
            }
            for name in ["link", "link to later", "far.png"] {
                assert!(matches!(at(name), Err(Error::IsInput { .. })), "{name}");
            }
        }
    }

    #[test]
    fn writers_of_one_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::thread::scope(|scope| {
            for writer in 0..4u8 {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write_atomically(path, &[writer; 4096]).unwrap()));
            }
        });
        let content = std::fs::read(&path).unwrap();
        assert!(content.len() == 4096 && content.iter().all(|&byte| byte == content[0]));
        assert_eq!(entries(folder.path()), 1);
    }
}
