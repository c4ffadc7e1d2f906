// Package compose checks docker-compose.yml without a container engine: against the
// Compose specification, and against what it names of this repository. It is a
// module of its own so that hkw's stays lean.
package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const (
	root     = "../.."
	file     = root + "/docker-compose.yml"
	loopback = "127.0.0.1"
)

// load loads the file as `docker compose` would, with profiles and the services that
// are named, in an environment.
func load(t *testing.T, profiles, services, env []string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("hkw"), cli.WithEnv(env), cli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(services) > 0 {
		if project, err = project.WithServicesEnabled(services...); err != nil {
			t.Fatal(err)
		}
		if project, err = project.WithSelectedServices(services); err != nil {
			t.Fatal(err)
		}
	}
	return project
}

// header is the comment that the file begins with.
func header(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "#"))
	}
	return b.String()
}

func aliases(s types.ServiceConfig) []string {
	if network := s.Networks["default"]; network != nil {
		return network.Aliases
	}
	return nil
}

func isHub(s types.ServiceConfig) bool { return s.Image == "hkw" }

// buildHKW builds the program that the file is for.
func buildHKW(t *testing.T) string {
	t.Helper()
	hub := filepath.Join(t.TempDir(), "hkw")
	build := exec.Command("go", "build", "-o", hub, "./cmd/hkw")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return hub
}

// checkSettings lets hkw itself say whether it knows what a service sets.
func checkSettings(t *testing.T, hub string, s types.ServiceConfig) {
	t.Helper()
	config := exec.Command(hub, append([]string{"config", "--json"}, s.Command...)...)
	for key, value := range s.Environment {
		if value != nil {
			config.Env = append(config.Env, key+"="+*value)
		}
	}
	if out, err := config.CombinedOutput(); err != nil {
		t.Errorf("hkw %v: %v: %s", s.Command, err, out)
	}
}

// TestCommands loads what each command of the header would start: one hub, one
// broker, nothing missing, no port twice.
func TestCommands(t *testing.T) {
	command := regexp.MustCompile(`(?m)^ +((?:\w+='[^']*' )*)docker compose ((?:--profile [\w-]+ )*)up((?: [\w-]+)*)(?:  .*)?$`)
	found := command.FindAllStringSubmatch(header(t), -1)
	if all := regexp.MustCompile(`docker compose .*\bup\b`).FindAllString(header(t), -1); len(found) != len(all) || len(all) == 0 {
		t.Errorf("not every command of the header was understood: %q", found)
	}
	hub, started := buildHKW(t), map[string]bool{}
	for _, c := range found {
		t.Run(strings.TrimSpace(c[0]), func(t *testing.T) {
			env := regexp.MustCompile(`(\w+)='([^']*)' `).ReplaceAllString(c[1], "$1=$2\n")
			profiles := strings.Fields(strings.ReplaceAll(c[2], "--profile", ""))
			project := load(t, profiles, strings.Fields(c[3]), strings.Fields(env))
			hubs, ports, names := 0, map[string]string{}, map[string]string{}
			for name, s := range project.Services {
				started[name] = true
				if isHub(s) {
					hubs++
					checkSettings(t, hub, s)
				}
				for _, dependency := range s.GetDependencies() {
					if _, ok := project.Services[dependency]; !ok {
						t.Errorf("%s depends on %s, which is not started", name, dependency)
					}
				}
				for _, p := range s.Ports {
					if other := ports[p.Published]; other != "" {
						t.Errorf("%s and %s publish port %s", name, other, p.Published)
					}
					ports[p.Published] = name
				}
				for _, alias := range append([]string{name}, aliases(s)...) {
					if other := names[alias]; other != "" {
						t.Errorf("%s and %s are both called %s", name, other, alias)
					}
					names[alias] = name
				}
			}
			if hubs != 1 || names["broker"] == "" || names["hkw"] == "" {
				t.Errorf("%d hubs, broker is %q, hkw is %q", hubs, names["broker"], names["hkw"])
			}
		})
	}
	for name := range load(t, []string{"*"}, nil, nil).Services {
		if !started[name] {
			t.Errorf("no command of the header starts %s", name)
		}
	}
}

// TestVariables: every variable has a default, so that nothing has to be set, and is
// explained in the header.
func TestVariables(t *testing.T) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	explained := header(t)
	seen := map[string]bool{}
	for _, v := range regexp.MustCompile(`\$\{?(\w+)(:-)?`).FindAllStringSubmatch(strings.TrimPrefix(string(data), explained), -1) {
		name := v[1]
		if seen[name] = true; v[2] == "" && !strings.Contains(explained, v[0]) {
			t.Errorf("%s has no default", v[0])
		}
		if !regexp.MustCompile(`(?m)^   .*\b` + name + `\b`).MatchString(explained) {
			t.Errorf("%s is not explained in the header", name)
		}
	}
	if len(seen) < 10 {
		t.Errorf("found only %v", seen)
	}
}

// TestServices holds what is promised of each service: ports on loopback, files that
// are there, images of a known version, and hubs that may do little.
func TestServices(t *testing.T) {
	hub := buildHKW(t)
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range load(t, []string{"*"}, nil, nil).Services {
		t.Run(name, func(t *testing.T) {
			for _, p := range s.Ports {
				if p.HostIP != loopback {
					t.Errorf("port %s is published on %q", p.Published, p.HostIP)
				}
			}
			for _, v := range s.Volumes {
				if v.Type != types.VolumeTypeBind || v.Target == "/pulse" {
					continue
				}
				if _, err := os.Stat(v.Source); err != nil || !strings.HasPrefix(v.Source, repository+"/") {
					t.Errorf("%s is not in the repository: %v", v.Source, err)
				}
				if !v.ReadOnly {
					t.Errorf("%s can be written", v.Source)
				}
			}
			if s.Build != nil {
				dockerfile := s.Build.Dockerfile
				if !filepath.IsAbs(dockerfile) {
					dockerfile = filepath.Join(s.Build.Context, dockerfile)
				}
				if _, err := os.Stat(dockerfile); err != nil {
					t.Error(err)
				}
			} else if _, tag, ok := strings.Cut(filepath.Base(s.Image), ":"); !ok || tag == "latest" {
				t.Errorf("%s is of no known version", s.Image)
			}
			if !isHub(s) {
				return
			}
			if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Privileged || s.User == "" || s.User == "0" ||
				!slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("may do too much: read_only %v, cap_drop %v, privileged %v, user %q, %v", s.ReadOnly, s.CapDrop, s.Privileged, s.User, s.SecurityOpt)
			}
			checkSettings(t, hub, s)
			// Behind published ports nobody is asked for credentials: that has to be said.
			if open := s.Environment["HKW_OPEN"]; open == nil || *open != "true" {
				t.Error("listens beyond loopback without HKW_OPEN")
			}
			if health := s.HealthCheck; health != nil {
				t.Errorf("the image has its own check of its health: %v", health)
			}
		})
	}
}

// TestNodeRED runs what the container begins with: the example's flows with the
// broker of the file, once; a flow that has been changed stays.
func TestNodeRED(t *testing.T) {
	s := load(t, []string{"node-red"}, nil, nil).Services["node-red"]
	data := t.TempDir()
	examples, err := filepath.Abs(filepath.Join(root, "examples", "node-red"))
	if err != nil {
		t.Fatal(err)
	}
	flows := filepath.Join(data, *s.Environment["FLOWS"])
	run := func() []byte {
		t.Helper()
		line := strings.NewReplacer("$$", "$", "/data/", data+"/", "/examples/", examples+"/", "exec ./entrypoint.sh", "exit 0").Replace(s.Entrypoint[2])
		if out, err := exec.CommandContext(context.Background(), s.Entrypoint[0], s.Entrypoint[1], line).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
		made, err := os.ReadFile(flows)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	var nodes []struct{ Type, Broker string }
	if err := json.Unmarshal(run(), &nodes); err != nil {
		t.Fatal(err)
	}
	brokers := 0
	for _, n := range nodes {
		if n.Type == "mqtt-broker" {
			if brokers++; n.Broker != "broker" {
				t.Errorf("its broker is %q", n.Broker)
			}
		}
	}
	if brokers == 0 {
		t.Error("the flows have no broker")
	}
	if err := os.WriteFile(flows, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(); !bytes.Equal(got, []byte("[]")) {
		t.Errorf("the flows of its owner became %s", got)
	}
}
