package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hkw/bridge"
)

// healthTime is how long `hkw health` waits for an answer.
const healthTime = 5 * time.Second

// healthCommand asks the hkw that runs on this machine how it is: what the
// HEALTHCHECK of a container is made of.
func (p *program) healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Ask the running hub over HTTP whether it is well; the exit code is 0 or 1", Args: noArguments,
		Long: "Asks /healthz of the hkw that runs on this machine, at --" + setHTTP + ", whether every hub\n" +
			"answers and has its broker. Exit code 0: all do. 1: one does not, or nobody answers.",
	}
	addSettings(cmd.Flags(), true)
	asJSON := cmd.Flags().Bool("json", false, "print what it answers as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), healthTime)
		defer cancel()
		address := dialable(cfg.http)
		health, err := askHealth(ctx, address)
		if err != nil {
			return exitWith(exitRuntime, "http://%s/healthz: %w", address, err)
		}
		if *asJSON {
			line, err := json.Marshal(health)
			if err != nil {
				return err
			}
			p.say("%s", line)
		}
		ills := illnesses(health)
		switch {
		case len(ills) > 0:
			return &exitError{code: exitRuntime, err: errors.New(strings.Join(ills, "; ")), silent: *asJSON}
		case !*asJSON:
			var names []string
			for _, h := range health.Hubs {
				names = append(names, h.Hub)
			}
			p.say("healthy: hkw %s, %s", health.Version, strings.Join(names, ", "))
		}
		return nil
	}
	return cmd
}

// illnesses says what is wrong with each hub.
func illnesses(health bridge.Health) []string {
	var ills []string
	for _, h := range health.Hubs {
		switch {
		case !h.Alive:
			ills = append(ills, fmt.Sprintf("hub %s does not answer", h.Hub))
		case !h.Connected:
			ills = append(ills, fmt.Sprintf("hub %s has no connection to its broker; it tries on", h.Hub))
		}
	}
	return ills
}

// askHealth asks the hkw that listens for HTTP at an address, host:port.
func askHealth(ctx context.Context, address string) (bridge.Health, error) {
	var health bridge.Health
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", http.NoBody)
	if err != nil {
		return health, err
	}
	// No proxy: this machine asks itself.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return health, plainNetError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(&health) != nil || len(health.Hubs) == 0 {
		return health, errors.New("whoever answers there is no hkw")
	}
	return health, nil
}
