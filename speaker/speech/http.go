package speech

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"hkw/speaker"
	"hkw/speaker/decode"
)

// HTTPConfig says where a service is that speaks as OpenAI's /v1/audio/speech does.
type HTTPConfig struct {
	// URL is the service's: http(s)://host, with /v1 or without, or all of it up to
	// /v1/audio/speech.
	URL string
	// Model is what the service calls it; "tts-1" if "".
	Model string
	// Voice is for requests that name none; "alloy" if "".
	Voice string
	// Key is sent as bearer token; none if "". It never appears in errors.
	Key string
}

const speechPath = "/audio/speech"

type httpEngine struct {
	cfg    HTTPConfig
	url    *url.URL // of …/audio/speech
	client *http.Client
}

// HTTP is the engine behind an OpenAI-compatible HTTP service. Redirects are not
// followed, since text and key are for the one that was configured; proxies of the
// environment are not used.
func HTTP(cfg HTTPConfig) (Engine, error) {
	u, err := url.Parse(strings.TrimSpace(cfg.URL))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("the address of an HTTP speech service is http://host or https://host, with /v1/audio/speech or without") // it may hold a secret: not repeated
	}
	u.Fragment = ""
	switch path := strings.TrimRight(u.Path, "/"); {
	case path == "":
		u = u.JoinPath("/v1" + speechPath)
	case strings.HasSuffix(path, speechPath):
		u.Path = path
	default:
		u = u.JoinPath(speechPath)
	}
	if cfg.Model == "" {
		cfg.Model = "tts-1"
	}
	if cfg.Voice == "" {
		cfg.Voice = "alloy"
	}
	if strings.ContainsFunc(cfg.Key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, errors.New("the key of the HTTP speech service has characters that no key has (a line break at its end?)")
	}
	return &httpEngine{cfg: cfg, url: u, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout:    connectTimeout,
			DisableKeepAlives:      true, // minutes lie between two texts
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}, nil
}

// Name implements Engine. What may be secret in a URL, credentials and query, is not in it.
func (h *httpEngine) Name() string {
	return "http " + h.url.Scheme + "://" + h.url.Host + "/" + strings.TrimPrefix(h.url.EscapedPath(), "/") + " " + h.cfg.Model + " " + h.cfg.Voice
}

func (h *httpEngine) host() string { return h.url.Scheme + "://" + h.url.Host }

// Synthesize implements Engine. What comes need not be the WAV that was asked for.
func (h *httpEngine) Synthesize(ctx context.Context, r Request) (speaker.Source, error) {
	if r.Voice == "" {
		r.Voice = h.cfg.Voice
	}
	body, err := json.Marshal(map[string]string{
		"model": h.cfg.Model, "input": r.Text, "voice": r.Voice, "response_format": "wav",
	})
	if err != nil {
		return nil, err
	}
	resp, err := h.do(ctx, http.MethodPost, h.url, body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }()
		return nil, h.refusal(resp)
	}
	return decode.Open(ctx, &feed{Reader: resp.Body, close: resp.Body.Close}, decode.Options{
		Name: h.host(), Hint: resp.Header.Get("Content-Type"),
	})
}

func (h *httpEngine) do(ctx context.Context, method string, u *url.URL, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the address cannot be asked")
	}
	req.Header.Set("User-Agent", "hkw")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if h.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+h.cfg.Key)
	}
	resp, err := h.client.Do(req)
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // the outer one repeats the URL
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not answer: %w", h.host(), err)
	}
	return resp, nil
}

// refusal makes an error of an answer that is none.
func (h *httpEngine) refusal(resp *http.Response) error {
	status := fmt.Sprintf("%s answers %d %s", h.host(), resp.StatusCode, http.StatusText(resp.StatusCode))
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		// Services like to repeat parts of the key: their words are not repeated.
		if h.cfg.Key == "" {
			return fmt.Errorf("%s: it wants a key", status)
		}
		return fmt.Errorf("%s: is the key right?", status)
	case code >= 300 && code < 400:
		return fmt.Errorf("%s: redirects are not followed, configure the final address", status)
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10)) // what came before an error is as good
	said := h.saying(b)
	if said == "" {
		return errors.New(status)
	}
	return fmt.Errorf("%s: %s", status, said)
}

// saying is what the service says for itself, without the key.
func (h *httpEngine) saying(body []byte) string {
	var known struct {
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"`
	}
	text := string(body)
	if json.Unmarshal(body, &known) == nil {
		text = ""
		for _, raw := range []json.RawMessage{known.Error, known.Detail} {
			var inner struct {
				Message string `json:"message"`
			}
			if text == "" && json.Unmarshal(raw, &inner) == nil {
				text = inner.Message
			}
			if text == "" {
				_ = json.Unmarshal(raw, &text) // or else it says nothing
			}
		}
	} else if strings.Contains(strings.ToLower(text), "<html") {
		return ""
	}
	for _, secret := range h.secrets() {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return printable(text)
}

// secrets are what must not be repeated.
func (h *httpEngine) secrets() (all []string) {
	password, _ := h.url.User.Password()
	for _, s := range []string{h.cfg.Key, password, h.url.RawQuery} {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// Check implements Engine: it asks for the list of models, which costs nothing. A
// service that has none may still speak.
func (h *httpEngine) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	u := *h.url
	u.Path = strings.TrimSuffix(u.Path, speechPath) + "/models"
	u.RawPath = ""
	resp, err := h.do(ctx, http.MethodGet, &u, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
		return nil
	}
	return h.refusal(resp)
}
