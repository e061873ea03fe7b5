/** Which variables count as secrets, and which of them an agent sees. */
import { assertEquals } from "@std/assert";
import { isNamePattern, isSecretVariable, withheldVariables, withoutSecrets } from "../../lib/core/secret_variables.ts";

Deno.test("isSecretVariable() knows the usual names, in capitals or not", () => {
  const secrets = [
    ...["SSH_AUTH_SOCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "GH_TOKEN"],
    ...["OPENAI_API_KEY", "CLIENT_SECRET", "DB_PASSWORD", "DATABASE_URL", "TOKEN", "npm_config__authToken", "gh_token"],
    ...["NODE_AUTH_TOKEN", "AZURE_CLIENT_SECRET", "GITHUB_PAT", "MYAPIKEY", "SIGNING_PASSPHRASE"],
  ];
  assertEquals(secrets.filter((name) => !isSecretVariable(name)), []);
});

Deno.test("isSecretVariable() lets pass what programs need to work at all", () => {
  const plain = [
    ...["PATH", "HOME", "LANG", "https_proxy", "SSH_CONNECTION", "XDG_RUNTIME_DIR", "TERM", "KEYBOARD", "TOKENIZERS"],
    ...["NODE_OPTIONS", "EDITOR", "AWSOME", "SECRETARY", "NPM_CONFIG_PREFIX", "COMPAT", "ANTHROPIC_BASE_URL"],
  ];
  assertEquals(plain.filter(isSecretVariable), []);
});

Deno.test("withoutSecrets() keeps what is allowed by name or by its beginning, and withheldVariables() names the rest", () => {
  const env = { A_KEY: "1", B_KEY: "2", AWS_REGION: "3", HOME: "/h", DROVER_TOKEN: "4" };
  const { HOME, A_KEY, AWS_REGION } = env;
  assertEquals(withoutSecrets(env, []), { HOME });
  assertEquals(withoutSecrets(env, ["A_KEY", "AWS_*"]), { HOME, A_KEY, AWS_REGION });
  assertEquals(withoutSecrets(env, ["*"]), env);
  assertEquals(withheldVariables(env, ["A_KEY"]), ["AWS_REGION", "B_KEY"]);
});

Deno.test("isNamePattern() takes names and beginnings, and nothing that could be a value", () => {
  assertEquals(["A", "a_1", "A_*", "*"].filter((text) => !isNamePattern(text)), []);
  assertEquals(["", "1A", "A-B", "A=b", "*A", "A*B", "A B"].filter(isNamePattern), []);
});
