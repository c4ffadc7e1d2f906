package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hkw/speaker/speakertest"
)

// unit reads a unit of deploy/ as lines, and writes a copy of it that starts this
// test's binary, since hkw itself need not be installed here.
func unit(t *testing.T, name string) (copied string, lines []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copied = filepath.Join(t.TempDir(), name)
	text := regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllLiteralString(string(data), "ExecStart="+self)
	write(t, copied, text)
	return copied, strings.Split(string(data), "\n")
}

// The units start hkw with settings that it knows, are restarted by the watchdog,
// and are not for what a restart does not mend.
func TestUnits(t *testing.T) {
	for _, name := range []string{"hkw.service", "hkw.user.service"} {
		t.Run(name, func(t *testing.T) {
			_, lines := unit(t, name)
			has := map[string]string{}
			for _, line := range lines {
				key, value, ok := strings.Cut(line, "=")
				if !ok || strings.HasPrefix(line, "#") {
					continue
				}
				has[key] = value
				if variable, _, _ := strings.Cut(value, "="); key == "Environment" && strings.HasPrefix(variable, envPrefix) {
					if _, known := settingByEnv(variable); !known {
						t.Errorf("%s: there is no %s", line, variable)
					}
				}
			}
			command := strings.Fields(has["ExecStart"])
			if len(command) < 2 || filepath.Base(command[0]) != "hkw" {
				t.Fatalf("ExecStart=%s", has["ExecStart"])
			}
			if found, rest, err := newProgram().root().Find(command[1:]); err != nil || found.Name() != "serve" || found.ParseFlags(rest) != nil {
				t.Errorf("ExecStart=%s: %v", has["ExecStart"], err)
			}
			for key, want := range map[string]string{"Type": "notify", "Restart": "on-failure", "RestartPreventExitStatus": "2", "WatchdogSec": "30"} {
				if has[key] != want {
					t.Errorf("%s=%s, want %s", key, has[key], want)
				}
			}
		})
	}
}

// systemd finds nothing to complain about in the units, and little that the one of
// the system could still do without.
func TestUnitsBySystemd(t *testing.T) {
	speakertest.Require(t, "systemd-analyze")
	analyze := func(args ...string) {
		t.Helper()
		cmd := exec.Command("systemd-analyze", args...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir(), "SYSTEMD_LOG_LEVEL=info")
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(args[0], "verify") && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	system, _ := unit(t, "hkw.service")
	analyze("verify", "--man=no", system)
	analyze("security", "--offline=yes", "--no-pager", "--threshold=20", system) // 2.0 of 10
	user, _ := unit(t, "hkw.user.service")
	analyze("verify", "--user", "--man=no", user)
}
