import { Component, inject, type OnInit, signal } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { Aurora } from "./app/aurora";

@Component({
  selector: "app-root",
  template: `
    @if (loaded()) { <p>The design tool is open</p> }
    @if (aurora.over(); as over) { <p>It is over: {{ over.reason }}</p> }
  `,
})
class App implements OnInit {
  readonly aurora = inject(Aurora);
  readonly loaded = signal(false);

  async ngOnInit() {
    await this.aurora.load();
    this.loaded.set(true);
  }
}

await bootstrapApplication(App);
