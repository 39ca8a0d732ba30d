use std::os::unix::process::CommandExt;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::account::Account;

/// A program that cannot outlive us: a shell runs it and reads a pipe whose only writing end is
/// ours. Each line we write names a signal for the program; STOP and CONT go to its children too,
/// and whether they have is told by the file [`PAUSED`]. When the pipe ends, be it that we closed
/// it or that we were killed, the shell stops the program, first with SIGINT and after ten seconds
/// with SIGKILL, and removes the folder.
#[derive(Debug)]
pub(super) struct Supervised {
    shell: Child,
    control: Option<ChildStdin>,
}

impl Supervised {
    pub(super) fn spawn(
        program: &Path,
        arguments: &[&str],
        folder: &Path,
        library: Option<&Path>,
        account: Option<Account>,
        log: &File,
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(folder)
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            // Variables such as PGPORT or PGDATA of the user's session would reach the server.
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?)
            // Ctrl-C in the terminal is for us to act on; the server stops when we say so.
            .process_group(0);
        if let Some(library) = library {
            command.env("LD_LIBRARY_PATH", library);
        }
        if let Some(Account { uid, gid }) = account {
            command.uid(uid).gid(gid);
        }
        let mut shell = command.spawn()?;
        let control = shell.stdin.take();
        Ok(Self { shell, control })
    }

    /// Sends the program a signal, named without `SIG`.
    pub(super) fn signal(&mut self, name: &str) -> io::Result<()> {
        let control = self.control.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        control.write_all(format!("{name}\n").as_bytes())
    }

    /// The program's exit status if it has ended by now.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.shell.try_wait()
    }

    /// Waits for the program's end; `None` when it has not come in time.
    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.control.take());
        // The shell needs ten seconds at the worst. Should it hang nevertheless, it goes.
        if !matches!(self.wait(Duration::from_secs(20)), Ok(Some(_))) {
            let _ = self.shell.kill();
            let _ = self.shell.wait();
        }
    }
}

/// In the folder as long as the program and its children are stopped by SIGSTOP.
pub(super) const PAUSED: &str = "paused";

/// Arguments: the folder, then the program with its own. The folder is removed only when the pipe
/// has ended, so that whoever still holds it can read the log of a program that failed.
const SCRIPT: &str = r#"
folder=$1
shift
# What the kernel sends to the group when its owner has died and a member is stopped.
trap '' HUP
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
signal_children() {
    processes=$(ps -A -o ppid= -o pid=) || return
    children=$(echo "$processes" | while read -r parent child; do
        if [ "$parent" = "$program" ]; then
            echo "$child"
        fi
    done)
    kill -s "$1" $children
    true
}
{
    while read -r signal; do
        # The parent first: a stopped one has no new children, one that runs looks after its own.
        kill -s "$signal" "$program"
        case $signal in
        STOP) signal_children STOP && : >"$folder/paused" ;;
        CONT) signal_children CONT && rm -f "$folder/paused" ;;
        esac
    done
    : >"$folder/abandoned"
    kill -s CONT "$program"
    signal_children CONT
    kill -s INT "$program"
    tenths=0
    while kill -0 "$program"; do
        sleep 0.1
        tenths=$((tenths + 1))
        if [ "$tenths" -gt 100 ]; then
            kill -s KILL "$program"
        fi
    done
} <&3 3<&- >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait "$program"
status=$?
kill -s KILL "$guard" 2>/dev/null
if [ -e "$folder/abandoned" ]; then
    cd /
    rm -rf -- "$folder"
fi
exit "$status"
"#;
