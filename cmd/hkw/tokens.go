package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hkw/bridge"
)

// shortToken is the length in bytes below which a token can be guessed.
const shortToken = 16

// parseTokens reads the tokens of HTTP that were given as such or as hashes. A
// token is never repeated in an error.
func (c *config) parseTokens() error {
	for _, t := range c.values[setTokens].texts {
		if err := checkToken(t.text); err != nil {
			return usageError("%s: %w", t.label, err)
		}
		c.tokens = append(c.tokens, bridge.HashToken(t.text))
	}
	for _, t := range c.values[setHashes].texts {
		var hash bridge.TokenHash
		if n, err := hex.Decode(hash[:], []byte(t.text[:min(len(t.text), hex.EncodedLen(len(hash)))])); err != nil || n != len(hash) || len(t.text) != hex.EncodedLen(len(hash)) {
			return usageError("%s must be SHA-256 hashes, %d hexadecimal digits each, as `hkw token` prints them", t.label, hex.EncodedLen(len(hash)))
		}
		c.tokens = append(c.tokens, hash)
	}
	return nil
}

// checkToken tells why a text can be no token.
func checkToken(token string) error {
	switch {
	case token == "":
		return fmt.Errorf("a token must not be empty")
	case token == redacted:
		return fmt.Errorf("%s stands where `hkw config` hides a token, and is none", redacted)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }):
		return fmt.Errorf("a token must be of letters, digits and signs of ASCII, without spaces and commas")
	}
	return nil
}

// allTokens are the hashes of every token that HTTP takes, those of the token file
// too; it is read now.
func (c *config) allTokens() ([]bridge.TokenHash, error) {
	tokens, err := c.fileTokens()
	if err != nil {
		return nil, err
	}
	all := slices.Clone(c.tokens)
	for _, t := range tokens {
		all = append(all, bridge.HashToken(t))
	}
	return all, nil
}

// fileTokens reads the token file. One without a token is an error: it would
// leave open what was meant to be closed.
func (c *config) fileTokens() ([]string, error) {
	if c.tokenFile == "" {
		return nil, nil
	}
	label := c.values[setTokenFile].label
	data, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return nil, usageError("%s: cannot read the tokens: %w", label, err)
	}
	var tokens []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		token := strings.TrimSpace(lines.Text())
		if token == "" || strings.HasPrefix(token, "#") {
			continue
		}
		if err := checkToken(token); err != nil {
			return nil, usageError("%s: %s:%d: %w", label, c.tokenFile, n, err)
		}
		tokens = append(tokens, token)
	}
	if err := lines.Err(); err != nil {
		return nil, usageError("%s: cannot read the tokens: %w", label, err)
	}
	if len(tokens) == 0 {
		return nil, usageError("%s: there is no token in %s; `hkw token` makes one", label, c.tokenFile)
	}
	return tokens, nil
}

// weaknesses are what is unwise about how secrets are kept.
func (c *config) weaknesses() []string {
	var found []string
	short := func(tokens []string) bool {
		return slices.ContainsFunc(tokens, func(t string) bool { return len(t) < shortToken })
	}
	if short(texts(c.values[setTokens].texts)) {
		found = append(found, fmt.Sprintf("%s: a token of less than %d characters can be guessed; `hkw token` makes a good one", c.values[setTokens].label, shortToken))
	}
	if tokens, err := c.fileTokens(); err == nil && short(tokens) {
		found = append(found, fmt.Sprintf("%s: a token of less than %d characters can be guessed; `hkw token` makes a good one", c.values[setTokenFile].label, shortToken))
	}
	if readableByAll(c.tokenFile) {
		found = append(found, fmt.Sprintf("%s can be read by everyone on this machine; chmod 600 %s", c.tokenFile, c.tokenFile))
	}
	for _, s := range settings {
		if g := c.values[s.name]; s.secret && g.base != "" && len(g.texts) > 0 && readableByAll(c.file) {
			return append(found, fmt.Sprintf("%s holds %s and can be read by everyone on this machine; chmod 600 %s", c.file, s.key(), c.file))
		}
	}
	return found
}

// readableByAll tells whether other users may read a file. Windows has no such bits.
func readableByAll(path string) bool {
	if path == "" || runtime.GOOS == "windows" {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

func (p *program) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Make a random token for HTTP, and its hash for the configuration", Args: noArguments,
		Long: "Make a random token of 128 bits and print it with its SHA-256. The token goes to the client, as\n" +
			"Authorization: Bearer TOKEN; the hub needs the hash alone (http_token_hashes in the file), or the token\n" +
			"(HKW_HTTP_TOKEN, http_token_file). Nothing is kept.",
	}
	asJSON := cmd.Flags().Bool("json", false, "print them as JSON")
	cmd.RunE = func(*cobra.Command, []string) error {
		token := rand.Text()
		hash := bridge.HashToken(token)
		if !*asJSON {
			p.say("token  %s\nhash   %s", token, hex.EncodeToString(hash[:]))
			return nil
		}
		line, err := json.Marshal(map[string]string{"token": token, "hash": hex.EncodeToString(hash[:])})
		if err != nil {
			return err
		}
		p.say("%s", line)
		return nil
	}
	return cmd
}
