import './style.css';
import './settings.css';
import './signin.css';
import { App } from './app.ts';
import { inspect, type Inspection } from './inspect.ts';

declare global {
  interface Window {
    /** A look at the page's state, for tests and for the curious at the browser's console. */
    telemetryPage: () => Inspection;
  }
}

const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const app = new App(document.getElementById('app')!, `${scheme}://${location.host}/ws`, Date.now());
window.telemetryPage = () => inspect(app);
app.start();
