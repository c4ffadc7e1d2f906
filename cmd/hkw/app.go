package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"hkw/bridge"
	"hkw/broker"
	"hkw/session"
	"hkw/speaker/library"
)

// app is everything that `serve` runs: the embedded broker, the hubs and HTTP.
type app struct {
	cfg     *config
	version string
	log     zerolog.Logger

	// What follows is set before started is closed, and not changed any more.
	started  chan struct{}
	mqttAddr net.Addr // nil with an external broker
	httpAddr net.Addr
	library  *library.Library
	hubs     []*bridge.Hub
	server   *http.Server
	names    hostNames
}

func newApp(cfg *config, version string, log zerolog.Logger) *app {
	return &app{cfg: cfg, version: version, log: log, started: make(chan struct{})}
}

// Run serves until ctx is done or a part fails, then closes everything, the last
// opened first.
func (a *app) Run(ctx context.Context) (err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	life := &lifecycle{log: a.log, limit: closeLimit}
	defer func() { err = errors.Join(err, life.close()) }()

	tokens, err := a.cfg.allTokens()
	if err != nil {
		return err
	}
	for _, w := range a.cfg.weaknesses() {
		a.log.Warn().Msg(w)
	}
	httpListener, err := a.listen(ctx, setHTTP, a.cfg.http, len(tokens) > 0)
	if err != nil {
		return err
	}
	a.httpAddr = httpListener.Addr()
	life.opened("HTTP listener", closeListener(httpListener))
	bus, socket, err := a.openBroker(ctx, life, fail)
	if err != nil {
		return err
	}
	if err := a.openLibrary(ctx, life); err != nil {
		return err
	}
	// Closed after the hubs: their last answers still have to be read.
	drained := make(chan struct{})
	life.opened("HTTP replies", func() error {
		if a.server != nil {
			<-drained
		}
		return nil
	})
	data := a.dataDir()
	voice := a.openSpeech(life, data)
	for _, h := range a.cfg.hubs {
		h.warnOfStrangers(a.log)
		h.warnOfQuietStrangers(a.log)
		out := openOutput(ctx, h, a.cfg.env, a.log)
		life.opened("outputs of hub "+h.name, out.close)
		hub, err := bridge.New(bridge.Config{
			Hub: h.name, Session: session.Config{Timeout: a.cfg.timeout, Quiet: &h.quiet.quiet, QuietSpeakers: h.quiet.speakers},
			Speakers: out.speakers, Discover: out.discover, Warnings: out.warnings,
			Media: a.library, Speech: voice, StrictWeb: a.cfg.strictWeb(), Presets: h.presets,
			Broker: bus, DataDir: data, Log: a.log,
			HomeAssistant: bridge.HomeAssistant{Prefix: a.cfg.home, MediaPlayer: a.cfg.player, Version: a.version, URL: a.pageURL()},
		})
		if err != nil {
			return err
		}
		a.hubs = append(a.hubs, hub)
		runPart(life, "hub "+h.name, fail, func(ctx context.Context) error {
			err := hub.Run(ctx)
			if errors.Is(err, bridge.ErrHubTaken) {
				return exitWith(exitTaken, "--hub: %q is taken: %w; stop that one or choose another name", hub.ID(), err)
			}
			return err
		})
	}
	runPart(life, "news of the media", fail, a.watchMedia)
	handler := bridge.NewHandler(bridge.HTTPConfig{Version: a.version, Hubs: a.hubs, WebSocket: socket, Bus: a.busForOthers(),
		Guard: bridge.Guard{Hosts: a.cfg.hosts, Announced: a.names.has, Origins: a.cfg.origins, Tokens: tokens}})
	a.server = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	runPart(life, "HTTP", fail, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() {
			defer close(drained)
			shutDown(a.server)
		})
		err := a.server.Serve(bridge.Lenient(share(httpListener, maxConnections)))
		if stop() {
			close(drained)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serve HTTP: %w", err)
	})
	for _, an := range a.announce() {
		runPart(life, "announcement of "+an.kind, fail, an.run)
	}
	if s := a.supervise(); s != nil {
		runPart(life, "news for systemd", fail, s.run) // the last part: the first to hear of the end
	}
	close(a.started)
	<-ctx.Done()
	a.log.Info().Msg("ending")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// runPart runs a part of the program until the lifecycle closes it. Should it
// end by itself, the whole program does.
func runPart(life *lifecycle, name string, fail context.CancelCauseFunc, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = fmt.Errorf("%s ended by itself", name)
		}
		fail(err)
	}()
	life.opened(name, func() error {
		stop()
		<-done
		return nil
	})
}

// drainTime is how long requests may take to end after nothing more is accepted.
const drainTime = 2 * time.Second

// shutDown lets running requests end, for a moment.
func shutDown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}

// openBroker starts the embedded broker, or says how the external one is reached.
func (a *app) openBroker(ctx context.Context, life *lifecycle, fail context.CancelCauseFunc) (bridge.BrokerConfig, http.Handler, error) {
	if a.cfg.broker != "" {
		tlsConfig, err := a.cfg.tls()
		return bridge.BrokerConfig{URL: a.cfg.broker, Username: a.cfg.user, Password: a.cfg.pass, TLS: tlsConfig}, nil, err
	}
	listener, err := a.listen(ctx, setMQTT, a.cfg.mqtt, false)
	if err != nil {
		return bridge.BrokerConfig{}, nil, err
	}
	a.mqttAddr = listener.Addr()
	life.opened("MQTT listener", closeListener(listener))
	b, err := broker.New(broker.Config{Log: a.log, Origins: a.cfg.origins})
	if err != nil {
		return bridge.BrokerConfig{}, nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	runPart(life, "broker", fail, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = b.Close() })
		defer stop()
		return b.Serve(listener)
	})
	return bridge.BrokerConfig{Dial: b.DialHub}, b.WebSocket(), nil
}

// openLibrary opens the folder of media. The folder itself must be readable; what
// is wrong inside it is the library's to tell.
func (a *app) openLibrary(ctx context.Context, life *lifecycle) error {
	if err := checkMedia(a.cfg); err != nil {
		return err
	}
	lib, err := library.Open(ctx, library.Config{Dir: a.cfg.media, Web: a.cfg.ownWeb(), Log: a.log.With().Str("component", "library").Logger()})
	if err != nil {
		return fmt.Errorf("open the media folder: %w", err)
	}
	a.library = lib
	life.opened("library", lib.Close)
	return nil
}

// watchMedia tells the hubs when there are other media than before.
func (a *app) watchMedia(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.library.Changed():
			for _, h := range a.hubs {
				h.MediaChanged()
			}
		}
	}
}

// dataDir is the folder for what survives a restart, "" if nothing can be kept.
func (a *app) dataDir() string {
	if err := checkData(a.cfg.data); err != nil {
		a.log.Warn().Err(err).Msg("volumes will not survive a restart: the data folder cannot be written; --data names another")
		return ""
	}
	return a.cfg.data
}

// listen opens an address, if it may be: beyond this machine only where credentials
// are asked for, or where the owner wants it without.
func (a *app) listen(ctx context.Context, name, address string, asks bool) (net.Listener, error) {
	label := a.cfg.values[name].label
	switch err := onlyLoopback(ctx, address); {
	case err == nil:
	case !asks && !a.cfg.open:
		return nil, usageError("%s: %s %w; %s", label, address, err, insteadOfOpen(name))
	case !asks:
		a.log.Warn().Str("address", address).Msg("open to everyone who can reach this address, without credentials")
	case !errors.Is(err, errBeyond):
		return nil, usageError("%s: %s %w", label, address, err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case inUse(err):
		return nil, exitWith(exitInUse, "%s: %s is in use by another program, perhaps another hkw; stop it, or choose another address", label, address)
	}
	return nil, usageError("%s: cannot listen on %s: %w", label, address, plainNetError(err))
}

// wsaInUse is what Windows says of an address that is taken.
const wsaInUse = syscall.Errno(10048)

func inUse(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaInUse)
}

// insteadOfOpen says what to do about an address that would be open to everyone.
func insteadOfOpen(name string) string {
	token := ""
	if name == setHTTP {
		token = ", ask for a token (`hkw token` makes one for --" + setTokens + ")"
	}
	return "use a loopback address such as " + settingByName(name).byDefault + token + ", or say with --open that it shall run so"
}

var errBeyond = errors.New("reaches beyond this machine and nobody would be asked for credentials")

// onlyLoopback tells why an address could be reached from other machines.
func onlyLoopback(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "" {
		return errBeyond
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("cannot be looked up: %w", plainNetError(err))
	}
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return errBeyond
		}
	}
	return nil
}

func closeListener(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// tls is how brokers reached by TLS are trusted: by the system's authorities, or
// by the one that is named.
func (c *config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca == "" {
		return t, nil
	}
	label := c.values[setCA].label
	pem, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, usageError("%s: %w", label, err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, usageError("%s: there is no certificate in %s", label, c.ca)
	}
	return t, nil
}
