/* tallyd serves htm's standalone module (htm and preact in one file) at /vendor/htm-preact.js. What the page uses of it: */
export interface VNode { type: unknown; props: object; key: unknown }
export type Child = VNode | string | number | boolean | null | undefined | Child[];
export abstract class Component<P = {}, S = {}> {
    constructor(props?: P);
    props: P & { children?: Child };
    state: S;
    base?: Element | Text;
    setState(state: Partial<S>): void;
    forceUpdate(): void;
    componentDidMount?(): void;
    componentDidUpdate?(): void;
    componentWillUnmount?(): void;
    shouldComponentUpdate?(next: P, nextState: S): boolean;
    abstract render(props: P, state: S): Child;
}
export function html(strings: TemplateStringsArray, ...values: unknown[]): VNode;
export function render(tree: Child, parent: Element): void;
export function useState<T>(first: T | (() => T)): [T, (next: T | ((old: T) => T)) => void];
export function useRef<T>(first: T): { current: T };
export function useMemo<T>(make: () => T, deps: unknown[]): T;
export function useCallback<F extends Function>(call: F, deps: unknown[]): F;
export function useEffect(effect: () => void | (() => unknown), deps?: unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => unknown), deps?: unknown[]): void;
