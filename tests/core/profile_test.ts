/** Profiles: which names there can be, and where their homes are. */
import { assertEquals } from "@std/assert";
import { controlSocket, homeLayout } from "../../lib/core/home.ts";
import { isProfileName, profileOf, profileRoot } from "../../lib/core/profile.ts";

Deno.test("isProfileName() takes what is one plain directory name everywhere", () => {
  const good = ["work", "a", "0", "my-work_2", "default", "a".repeat(32)];
  const bad = ["", ".", "..", "Work", "-x", "_x", "a/b", "a b", "a.b", "ü", "a\n", "a".repeat(33), "*"];
  assertEquals(good.filter((name) => !isProfileName(name)), []);
  assertEquals(bad.filter((name) => isProfileName(name)), []);
});

Deno.test("profileRoot() is below the plain home, whichever home of the family it starts from", () => {
  const rows: [root: string, profile: string, wanted: string][] = [
    ["/h/.drover", "work", "/h/.drover/profiles/work"],
    ["/h/.drover", "default", "/h/.drover"],
    ["/h/.drover/profiles/work", "work", "/h/.drover/profiles/work"],
    ["/h/.drover/profiles/work", "play", "/h/.drover/profiles/play"],
    ["/h/.drover/profiles/work", "default", "/h/.drover"],
    // No profile's home, only a path that looks a little like one.
    ["/h/profiles/My Home", "work", "/h/profiles/My Home/profiles/work"],
    ["/profiles", "work", "/profiles/profiles/work"],
  ];
  for (const [root, profile, wanted] of rows) assertEquals(profileRoot(root, profile), wanted, `${root} ${profile}`);
});

Deno.test("profileOf() undoes profileRoot()", () => {
  for (const profile of ["default", "work", "a".repeat(32)]) {
    assertEquals(profileOf(profileRoot("/h", profile)), { plain: "/h", profile });
  }
});

Deno.test("a profile's control socket falls back like any other where its home's path is too long", () => {
  const limit = 103 - "/run/c-0123456789ab.sock".length;
  const place = (length: number) => {
    const home = homeLayout(profileRoot("/" + "h".repeat(length - "/profiles/work".length - 1), "work"));
    return { home, place: controlSocket(home, "01234567-89ab-4cde-8f01-23456789abcd", { uid: 7, env: {} }) };
  };
  const fits = place(limit);
  assertEquals(fits.place.directory, fits.home.runDirectory);
  assertEquals(place(limit + 1).place.directory, "/tmp/drover-7");
});
