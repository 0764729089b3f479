package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/keyfob-go/keyfob/authenticator"
)

func configCommand(inv *invocation) *cobra.Command {
	return family("config", "Change the settings of a key.",
		alwaysUVCommand(inv), enterpriseCommand(inv), longTouchCommand(inv))
}

const on, off = "on", "off"

func alwaysUVCommand(inv *invocation) *cobra.Command {
	want := ""
	cmd := &cobra.Command{
		Use:   "always-uv on|off",
		Short: "Make a key verify its user always, or only when asked to.",
		Long: "Make a key verify its user, by PIN or fingerprint, for every registration and signature, whatever a\n" +
			"program asks for; or only when asked to. While it is on, U2F does not work. Some keys cannot be made to stop.",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{on, off},
		PreRun:    func(_ *cobra.Command, args []string) { want = args[0] },
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			if is, supported := key.Info().Option("alwaysUv"); !supported || is != (want == on) {
				if err := key.ToggleAlwaysUV(ctx); err != nil {
					return nil, err
				}
			}
			return optionRecord(key, "alwaysUv"), nil
		}),
	}
	inv.forPIN(cmd)
	return cmd
}

func enterpriseCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enterprise",
		Short: "Let a key tell an employer's services which key it is, until it is reset.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			if err := key.EnableEnterpriseAttestation(ctx); err != nil {
				return nil, err
			}
			return optionRecord(key, "ep"), nil
		}),
	}
	inv.forPIN(cmd)
	return cmd
}

func longTouchCommand(inv *invocation) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "long-touch",
		Short: "Make a key want a touch of several seconds to be reset, until it is.",
		Args:  cobra.NoArgs,
		RunE: inv.withKey(func(ctx context.Context, key *authenticator.Authenticator) (output, error) {
			if err := key.EnableLongTouchForReset(ctx); err != nil {
				return nil, err
			}
			return record{{"longTouchForReset", key.Info().LongTouchForReset}}, nil
		}),
	}
	inv.forPIN(cmd)
	return cmd
}

// optionRecord shows an option of the key as it says that it stands now.
func optionRecord(key *authenticator.Authenticator, name string) record {
	is, _ := key.Info().Option(name)
	return record{{name, is}}
}
